//! The FCM channel: HTTP v1 over its own HTTP/2 pool.
