from django.urls import path

from conversations import api, webhooks

urlpatterns = [
    path("webhooks/vonage/inbound-sms", webhooks.InboundSmsWebhook.as_view(), name="inbound-sms"),
    path("webhooks/vonage/delivery-receipt", webhooks.DeliveryReceiptWebhook.as_view(), name="delivery-receipt"),
    path("api/v1/conversations/", api.ConversationList.as_view(), name="conversations"),
    path("api/v1/conversations/<uuid:public_id>/", api.ConversationDetail.as_view(), name="conversation"),
    path("api/v1/conversations/<uuid:public_id>/close/", api.CloseConversation.as_view(), name="close-conversation"),
]
