from django.urls import path
from django.views.decorators.common import no_append_slash

from conversations.api import blocks, changes, dry_run, messages, routes
from conversations.api import conversations as endpoints
from conversations.monitoring import health, metrics
from conversations.webhooks import views
from smsproxy.webhook_urls import DELIVERY_RECEIPT_PATH, INBOUND_SMS_PATH

# Without its last slash, a URL of the API is a 404: a redirect would silently turn a POST into a GET.
conversations = no_append_slash(endpoints.ConversationList.as_view())
conversation = no_append_slash(endpoints.ConversationDetail.as_view())
close_conversation = no_append_slash(changes.CloseConversation.as_view())
reopen_conversation = no_append_slash(changes.ReopenConversation.as_view())
messages_of_conversation = no_append_slash(messages.Messages.as_view())
message = no_append_slash(messages.MessageDetail.as_view())
choose_numbers = no_append_slash(dry_run.DryRun.as_view())
explain_route = no_append_slash(routes.ExplainRoute.as_view())
block_list = no_append_slash(blocks.BlockList.as_view())
block = no_append_slash(blocks.BlockDetail.as_view())
end_block = no_append_slash(blocks.EndBlock.as_view())

urlpatterns = [
    path(INBOUND_SMS_PATH, views.InboundSmsWebhook.as_view(), name="inbound-sms"),
    path(DELIVERY_RECEIPT_PATH, views.DeliveryReceiptWebhook.as_view(), name="delivery-receipt"),
    path("api/v1/conversations/", conversations, name="conversations"),
    path("api/v1/conversations/dry-run/", choose_numbers, name="dry-run"),
    path("api/v1/conversations/<uuid:public_id>/", conversation, name="conversation"),
    path("api/v1/conversations/<uuid:public_id>/close/", close_conversation, name="close-conversation"),
    path("api/v1/conversations/<uuid:public_id>/reopen/", reopen_conversation, name="reopen-conversation"),
    path("api/v1/conversations/<uuid:public_id>/messages/", messages_of_conversation, name="messages"),
    path("api/v1/messages/<uuid:public_id>/", message, name="message"),
    path("api/v1/blocks/", block_list, name="blocks"),
    path("api/v1/blocks/<uuid:block_id>/", block, name="block"),
    path("api/v1/blocks/<uuid:block_id>/end/", end_block, name="end-block"),
    path("api/v1/routes/explain/", explain_route, name="explain-route"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.Metrics.as_view(), name="metrics"),
]
