"""The real repository on an engine, a network and a clock of ours: every schedule can be played, and played again.

Bottom to top: `expressions` and `engine` are an in-memory DynamoDB; `loop` is an event loop whose time is virtual;
`network` what may happen to a request; `oracle` reads the truth out of the engine; `scenario` says who does what, and
`workload` does it; `checker` compares what the clients were told with the truth; `schedule` decides what happens next;
`play` puts all of it together; `shrink` makes a failing schedule short.
"""
