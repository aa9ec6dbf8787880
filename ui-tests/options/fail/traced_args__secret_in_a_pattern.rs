use async_trait::async_trait;
use vitalsign::traced;

#[async_trait]
trait Login {
    async fn login(&self, user: (String, String)) -> bool;
}

struct Open;

#[async_trait]
impl Login for Open {
    #[traced(args)]
    async fn login(&self, (user, password): (String, String)) -> bool {
        user == password
    }
}

fn main() {}
