//! A label whose type is a parameter of the block around: seen from the block, written `_` on one method.

use vitalsign::{LabelValue, counted};

struct Shop<Kind>(Kind);

impl<Kind: LabelValue + Copy> Shop<Kind> {
    #[counted(name = "shop.methods", labels(kind: _ = kind))]
    fn method(&self, kind: Kind) -> Kind {
        let _ = &self.0;
        kind
    }
}

#[counted(name = "shop.blocks", labels(kind = kind))]
impl<Kind: LabelValue + Copy> Shop<Kind> {
    fn block(&self, kind: Kind) -> Kind {
        let _ = &self.0;
        kind
    }
}

fn main() {
    let shop = Shop(true);
    assert!(shop.method(true) && shop.block(true));
}
