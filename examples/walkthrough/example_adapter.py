"""The walkthrough's provider as a program of its own, with a flag of its own."""

from example_provider import ExampleProvider

from metrics_apiserver.adapter import Adapter

adapter = Adapter("example-adapter", description="Serve metrics that grow with every read.")
adapter.flags.add_argument("--msg", default="starting adapter...", help="what is said at the start")


def make_provider(context):
    context.logger.info(adapter.arguments.msg)
    return ExampleProvider(context, {})


adapter.with_custom_metrics(make_provider)

if __name__ == "__main__":
    adapter.run()
