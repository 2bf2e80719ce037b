"""The providers that are shipped: they import nothing of `app` but `app.provider`, as yours would."""
