//! Which orders are placed, as the command line says it: `food_delivery=4,retail=2,cancellations=5%`.

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use super::kind::Kind;

/// How the orders are spread over kinds of store, and how they end.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// By [`Kind::ALL`]; only their proportion matters.
    weights: [u32; 5],
    cancellations: Share,
    rejections: Share,
    declined: Share,
    on_delivery: Share,
}

/// A part of all, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(f64);

/// How an order is meant to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Served,
    /// The customer cancels when so many steps have been taken.
    CancelledAfter(usize),
    /// The store says no.
    Rejected,
    /// The card is declined.
    Declined,
}

/// What one customer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taste {
    pub(super) kind: Kind,
    pub(super) fate: Fate,
    pub(super) cash: bool,
}

/// A part of the mix that cannot be read, or that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}`: {because}")]
pub struct BadMix {
    part: String,
    because: &'static str,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            weights: [4, 2, 1, 2, 2],
            cancellations: Share(0.05),
            rejections: Share(0.03),
            declined: Share(0.01),
            on_delivery: Share(0.10),
        }
    }
}

impl Mix {
    pub(super) fn has(&self, kind: Kind) -> bool {
        Kind::ALL.iter().zip(self.weights).any(|(listed, weight)| *listed == kind && weight > 0)
    }

    pub(super) fn taste(&self, rng: &mut Rng) -> Taste {
        let kind = self.kind(rng.u32(0..self.weights.iter().sum()));
        let drawn = rng.f64();
        let (cancelled, rejected) = (self.cancellations.0, self.rejections.0);
        let fate = if drawn < cancelled {
            Fate::CancelledAfter(rng.usize(0..=kind.cancellable_after()))
        } else if drawn < cancelled + rejected && kind.accepts_by_hand() {
            Fate::Rejected
        } else if drawn >= 1.0 - self.declined.0 {
            Fate::Declined
        } else {
            Fate::Served
        };
        let cash = kind.takes_cash() && fate != Fate::Declined && rng.f64() < self.on_delivery.0;
        Taste { kind, fate, cash }
    }

    fn kind(&self, mut drawn: u32) -> Kind {
        for (kind, weight) in Kind::ALL.into_iter().zip(self.weights) {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return kind,
            }
        }
        Kind::FoodDelivery
    }

    fn share(&mut self, name: &str) -> Option<&mut Share> {
        match name {
            "cancellations" => Some(&mut self.cancellations),
            "rejections" => Some(&mut self.rejections),
            "declined" => Some(&mut self.declined),
            "on_delivery" => Some(&mut self.on_delivery),
            _ => None,
        }
    }
}

impl FromStr for Mix {
    type Err = BadMix;

    /// Kinds that are not named are left out, unless none is; shares that are not named stay as they usually are.
    fn from_str(text: &str) -> Result<Self, BadMix> {
        let mut mix = Self::default();
        let mut weights = None;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = |because| BadMix { part: part.to_owned(), because };
            let (name, value) = part.split_once('=').ok_or_else(|| bad("write name=number"))?;
            if let Some(share) = mix.share(name) {
                *share = value.parse().map_err(bad)?;
                continue;
            }
            let name = if name == "parcel" { Kind::QuickService.as_str() } else { name };
            let place = Kind::ALL.iter().position(|kind| kind.as_str() == name).ok_or_else(|| {
                bad("kinds are food_delivery, retail, quick_service (or parcel), restaurant and store_delivered; \
                     shares are cancellations, rejections, declined and on_delivery")
            })?;
            let weight: u32 = value.parse().map_err(|_| bad("a weight is a whole number"))?;
            weights.get_or_insert([0; 5])[place] = weight.min(1_000_000);
        }
        mix.weights = weights.unwrap_or(mix.weights);
        let bad = |because| BadMix { part: text.to_owned(), because };
        if mix.weights.iter().sum::<u32>() == 0 {
            return Err(bad("no kind of store has a weight"));
        }
        if mix.cancellations.0 + mix.rejections.0 + mix.declined.0 > 1.0 {
            return Err(bad("cancellations, rejections and declined together are more than all"));
        }
        Ok(mix)
    }
}

impl FromStr for Share {
    type Err = &'static str;

    /// `5%` or `0.05`.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
        let share = number.parse::<f64>().map_err(|_| "a share is written 5% or 0.05")? / of;
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err("a share is 0% to 100%") }
    }
}

/// As it is read.
impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, weight) in Kind::ALL.iter().zip(self.weights).filter(|(_, weight)| *weight > 0) {
            write!(f, "{}={weight},", kind.as_str())?;
        }
        let percent = |share: Share| share.0 * 100.0;
        let (cancelled, rejected) = (percent(self.cancellations), percent(self.rejections));
        let (declined, cash) = (percent(self.declined), percent(self.on_delivery));
        write!(f, "cancellations={cancelled}%,rejections={rejected}%,declined={declined}%,on_delivery={cash}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(mix: &str) -> Vec<Taste> {
        let mix: Mix = mix.parse().unwrap();
        let mut rng = Rng::with_seed(7);
        (0..2_000).map(|_| mix.taste(&mut rng)).collect()
    }

    #[test]
    fn kinds_that_are_not_named_are_left_out_and_shares_stay_usual() {
        let mix: Mix = "food_delivery=3, retail=1".parse().unwrap();
        assert_eq!(mix.weights, [3, 1, 0, 0, 0]);
        assert_eq!(mix.cancellations, Mix::default().cancellations);
        assert_eq!("cancellations=0%".parse::<Mix>().unwrap().weights, Mix::default().weights);
        assert!(mix.has(Kind::Retail) && !mix.has(Kind::Restaurant));
        assert_eq!("parcel=1".parse::<Mix>().unwrap().weights, [0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_mix_is_read_back_as_it_is_shown() {
        let mix: Mix = "restaurant=2,cancellations=12.5%,declined=0".parse().unwrap();
        assert_eq!(mix.to_string().parse(), Ok(mix));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for bad in
            ["pizza=1", "retail", "retail=x", "retail=0", "cancellations=101%", "cancellations=60%,rejections=60%"]
        {
            assert!(bad.parse::<Mix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_shares_come_out_about_right_and_nobody_rejects_at_a_restaurant() {
        let tastes = drawn("food_delivery=1,restaurant=1,cancellations=20%,rejections=20%,declined=20%,on_delivery=0");
        let share = |wanted: fn(&Taste) -> bool| tastes.iter().filter(|taste| wanted(taste)).count();
        assert!((300..500).contains(&share(|taste| matches!(taste.fate, Fate::CancelledAfter(_)))));
        assert!((300..500).contains(&share(|taste| taste.fate == Fate::Declined)));
        assert!((120..280).contains(&share(|taste| taste.fate == Fate::Rejected)));
        assert_eq!(share(|taste| taste.fate == Fate::Rejected && taste.kind == Kind::Restaurant), 0);
        assert_eq!(share(|taste| taste.cash), 0);
    }

    #[test]
    fn the_same_seed_wants_the_same() {
        assert_eq!(drawn("retail=1,quick_service=3"), drawn("retail=1,quick_service=3"));
    }
}
