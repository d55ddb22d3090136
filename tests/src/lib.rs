//! The stack the tests run on.
