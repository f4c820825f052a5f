//! Every series, declared once.
