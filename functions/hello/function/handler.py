"""Says hello to whoever the body names."""


def handle(event, context):
    who = event.body.decode(errors="replace").strip() or "world"
    return {
        "statusCode": 200,
        "body": f"Hello, {who}!\n",
        "headers": {"X-Replica": context.hostname},
    }
