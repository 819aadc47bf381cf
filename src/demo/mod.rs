//! Simulated people for `serve --demo`: customers, owners and riders of all five kinds of store, who act through the
//! public interface like anyone else, at a gentle pace.
