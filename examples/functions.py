"""Three metrics as functions: `metrics-apiserver serve --metrics examples/functions.py` (docs/functions.md)."""

from metrics_apiserver.provider.functions import NAMESPACE_DEFAULT, Metrics, Value, every

metrics = Metrics()


@metrics.external("queue-depth", trigger=every(seconds=5))
def queue_depth(ctx, namespace, name):
    return {"": 42, "queue=orders": 30, "queue=mail": 12}


@metrics.custom("pods", "open-sessions")
def open_sessions(ctx, objects):
    return {o.name: 7 for o in objects}


def lag():
    return Value(7).add_selector("topic", "invoices", 4).add_selector("topic", "parcels", 3)


metrics.add_metric(NAMESPACE_DEFAULT, "consumer-lag", every(minutes=1), lag)
