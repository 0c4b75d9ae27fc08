"""What is sent can be checked by anybody's library for Standard Webhooks."""

from __future__ import annotations

import base64

from steelyard.webhooks.signing import headers, new_secret, signature

# The example that the scheme's libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_example_is_signed_as_published() -> None:
    assert signature(SECRET, key=KEY, timestamp=TIMESTAMP, body=BODY) == SIGNED


def test_every_secret_that_is_good_signs() -> None:
    said = headers([new_secret(), SECRET], key=KEY, timestamp=TIMESTAMP, body=BODY)
    assert said["webhook-id"] == KEY
    assert said["webhook-timestamp"] == str(TIMESTAMP)
    first, second = said["webhook-signature"].split(" ")
    assert first != second == SIGNED


def test_a_secret_is_256_bits_of_chance() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
