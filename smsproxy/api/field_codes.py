"""The codes of single fields, query parameters and headers, in `errors` of a problem."""

from collections.abc import Mapping

FIELD_CODES: Mapping[str, str] = {
    # Whether it may be there at all.
    "unknown_field": "The body has a field that the endpoint does not know.",
    "unknown_parameter": "The query has a parameter that the endpoint does not know.",
    "repeated": "The query has this parameter more than once.",
    "unexpected_body": "A GET has no body.",
    "required": "It is missing.",
    "null": "It may not be null.",
    "blank": "It may not be empty.",
    # Its type. Nothing is converted: "60" is not a number.
    "not_an_object": "Expected a JSON object.",
    "not_a_list": "Expected a JSON list.",
    "not_a_string": "Expected a JSON string.",
    "not_an_integer": "Expected a whole number.",
    "not_a_boolean": "Expected `true` or `false`.",
    "not_a_time": "Expected a time in ISO 8601 with its offset, such as `2026-11-28T22:00:00Z`.",
    "not_e164": "Expected a phone number in E.164 form, such as `+447700900001`.",
    # Its value.
    "max_length": "It is too long.",
    "min_length": "It is too short.",
    "min_value": "It is too small.",
    "max_value": "It is too large.",
    "invalid_choice": "It is not one of the possible values.",
    "null_characters_not_allowed": "It has a null character.",
    "surrogate_characters_not_allowed": "It has half of a surrogate pair, which is not a character.",
    "control_character": "It has a line end, or a control or invisible character.",
    "label_like_a_number": "The label has seven digits or more.",
    "label_with_link": "The label has a link.",
    "ttl_and_expires_at": "Expected `ttl` or `expires_at`, not both.",
    "same_participant_twice": "The list names a participant twice.",
    "same_person_twice": "Both numbers are of the same person.",
    "reason_not_valid": "Expected a short line without a phone number.",
    "not_in_future": "Expected a time in the future.",
    "end_too_late": "Expected a time at most 366 days from now.",
    "phone_number": "It has a phone number, and is stored in the clear.",
    "reserved": "This value has a meaning of its own. Choose another.",
    "no_language": "Expected a language such as `pt-BR`.",
    "unknown_text": "There is no text of this kind.",
    "text_not_valid": "The text is too long, or has a placeholder or a character that it may not have.",
    "too_large": "It is larger than 4096 bytes of JSON.",
    "too_deep": "Its objects and lists are nested too deeply.",
    "cannot_be_stored": "It has a number or a character that JSON cannot express.",
    "virtual_number": "It is one of our virtual numbers, not a person's own number.",
    "no_pool": "There is no pool of this name.",
}
