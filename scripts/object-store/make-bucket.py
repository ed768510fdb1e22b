"""Makes the bucket of the tests; signs with the standard library alone.

    python3 make-bucket.py NAME      # server and keys from the environment, as for the tools
"""

import datetime
import hashlib
import hmac
import os
import sys
import urllib.request


def signed(method, url, region, key, secret):
    """A request without a body, signed as Signature Version 4 says."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n/{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    signing = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope},SignedHeaders={names},"
        f"Signature={hmac.digest(signing, text.encode(), 'sha256').hex()}")
    return urllib.request.Request(url, method=method, headers=headers)


request = signed("PUT", f"{os.environ['AWS_ENDPOINT_URL']}/{sys.argv[1]}", os.environ["AWS_REGION"],
                 os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
with urllib.request.urlopen(request, timeout=30) as reply:
    assert reply.status == 200, reply.status
