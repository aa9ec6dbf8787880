//! The example service as a user and an orchestrator see it.

mod end_to_end;
mod health;
mod worker;

/// What an order is up to the queue.
const ORDER: &str = "\
POST /orders
  place_order
    reserve
      POST
        inventory: POST /items/{item}/take
          take_from_shelf
            walk_to_shelf
    Store::insert
";
