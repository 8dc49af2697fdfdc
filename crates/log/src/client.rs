//! Configurations of clients.
