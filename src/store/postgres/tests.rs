//! What only a server can do wrong.
