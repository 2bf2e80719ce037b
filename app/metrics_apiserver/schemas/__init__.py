"""Model objects ↔ versioned wire types: marshmallow declares them, one module per group-version; no logic here."""
