//! Two sockets on the loopback interface.
