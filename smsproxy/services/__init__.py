"""Services: a service is one marketplace, brand or environment. It owns keys, conversations, texts and limits."""
