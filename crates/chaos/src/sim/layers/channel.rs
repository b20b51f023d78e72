//! The provider, as a process reaches it: what a token, the plan and chance make of each send. What has arrived has
//! arrived, whether or not the sender lives to hear of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pabal_core::ids::ItemId;
use pabal_core::outcome::{CredentialScope, Outcome, Report, ThrottleScope};
use pabal_core::route::{Credential, Platform};
use pabal_core::seam::{Channel, Outbound};

use crate::sim::dice::Dice;
use crate::sim::gate::{Call, Gate, Server};
use crate::sim::names;
use crate::sim::plan::Part;
use crate::sim::script::TokenKind;
use crate::sim::world::World;

/// The provider behind a process's gate.
pub(crate) struct ChannelLayer {
    pub(crate) gate: Arc<Gate>,
}

/// What the provider makes of one send.
struct Fate {
    arrives: bool,
    outcome: Outcome,
    /// Until it arrives, if it does.
    way_there: Duration,
    /// Until the sender hears of it.
    way_back: Duration,
}

/// Longer than anybody waits for an answer.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

const SEND: Call = Call::write(Server::Provider, "send");

#[async_trait]
impl Channel for ChannelLayer {
    async fn send(&self, outbound: &Outbound) -> Report {
        self.gate.alive().await;
        let (world, boot) = (&self.gate.world, self.gate.boot);
        let moment = world.moment();
        let Some(index) = world.witness(|witness| witness.sending(boot, outbound, moment)) else {
            return Report::of(Outcome::NotSent);
        };
        super::ledger::may_be_poison(&self.gate, ItemId::Delivery(outbound.delivery), "sending poison").await;
        if self.gate.enter(SEND).await.is_err() {
            return Report::of(Outcome::NotSent);
        }
        let fate = world.draw(|dice| fate(world, dice, outbound));
        tokio::time::sleep(fate.way_there).await;
        self.gate.alive().await;
        if fate.arrives {
            world.log(|| format!("{boot} delivers {}", outbound.delivery));
            world.witness(|witness| witness.arrived(outbound.delivery, index));
        }
        self.gate.may_crash(SEND, "after").await;
        tokio::time::sleep(fate.way_back).await;
        self.gate.alive().await;
        let moment = world.moment();
        world.log(|| format!("{boot} hears of {}: {:?}", outbound.delivery, fate.outcome));
        world.witness(|witness| witness.answered(outbound.delivery, index, &fate.outcome, moment));
        Report::of(fate.outcome)
    }

    fn capacity(&self, _credential: &Credential) -> usize {
        assert!(self.gate.world.looks(), "the engine asks for the capacity for ever");
        self.gate.world.plan.channel_capacity
    }
}

/// What becomes of a send: the token's nature first, then what is away, then chance.
fn fate(world: &World, dice: &mut Dice, outbound: &Outbound) -> Fate {
    let (way_there, way_back) = (dice.ms(0..=150), dice.ms(0..=150));
    let fails = |outcome| Fate { arrives: false, outcome, way_there, way_back };
    if world.is_gone(outbound.target.address()) {
        return fails(Outcome::Unregistered);
    }
    let first_project = outbound.credential.as_str() == names::PROJECTS[0];
    if first_project && world.is_away(Part::Credential) {
        return fails(Outcome::CredentialInvalid { scope: CredentialScope::Credential });
    }
    let one_platform = matches!(outbound.platform, Platform::Ios | Platform::Other);
    if first_project && one_platform && world.is_away(Part::PlatformCredential) {
        return fails(Outcome::CredentialInvalid { scope: CredentialScope::Platform });
    }
    if world.is_away(Part::Provider) {
        return fails(*dice.pick(&[Outcome::Unavailable { retry_after_ms: None }, Outcome::NotSent]));
    }
    match names::token_kind(outbound.target.address()) {
        Some(TokenKind::Gone) => fails(Outcome::Unregistered),
        Some(TokenKind::Foreign) => fails(Outcome::SenderMismatch),
        Some(TokenKind::Malformed) => fails(Outcome::MalformedTarget),
        Some(TokenKind::Refused) => fails(Outcome::Rejected),
        Some(TokenKind::Broken) => fails(Outcome::Unavailable { retry_after_ms: None }),
        Some(TokenKind::Good | TokenKind::Poison) | None => {
            let mut fate = chance(world, dice);
            fate.way_there += way_there;
            fate.way_back += way_back;
            fate
        }
    }
}

fn chance(world: &World, dice: &mut Dice) -> Fate {
    let none = Duration::ZERO;
    let faults = &world.plan.provider;
    let fails = |outcome| Fate { arrives: false, outcome, way_there: none, way_back: none };
    let delivers = Fate { arrives: true, outcome: Outcome::Delivered, way_there: none, way_back: none };
    if world.is_quiet() {
        return delivers;
    }
    let retry_after_ms = dice.chance(500).then(|| dice.within(100..=faults.retry_after_ms_max));
    if dice.chance(faults.unavailable) {
        return fails(Outcome::Unavailable { retry_after_ms });
    }
    if dice.chance(faults.throttled) {
        let scope = *dice.pick(&[ThrottleScope::Device, ThrottleScope::Topic, ThrottleScope::Project]);
        return fails(Outcome::Throttled { retry_after_ms, scope });
    }
    if dice.chance(faults.unknown_lost) {
        return fails(Outcome::Unknown);
    }
    if dice.chance(faults.not_sent) {
        return fails(Outcome::NotSent);
    }
    if dice.chance(faults.unknown_arrived) {
        return Fate { outcome: Outcome::Unknown, ..delivers };
    }
    if dice.chance(faults.silent) {
        return Fate { arrives: dice.chance(500), outcome: Outcome::Unknown, way_back: FOR_EVER, ..delivers };
    }
    delivers
}
