//! What the models share: see `check`.
