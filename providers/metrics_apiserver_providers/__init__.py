"""The providers that are shipped: of the server they import `metrics_apiserver.provider` alone, as yours would."""
