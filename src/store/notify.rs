//! Waking other gateways: `NOTIFY` only shortens a wait, the rows and timers are the truth.
