//! Money in whole minor units. Rates and rounding do not occur: every amount is a price times a count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::parsed;

/// The largest amount of one order, 10^12 minor units: far above any real order, far below where sums of
/// them could overflow 64 bits.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// An ISO 4217 code, three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// An amount of one currency, in its minor unit: won for KRW, cents for USD. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    pub amount: i64,
    pub currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("a currency is three capital letters, such as KRW")]
    BadCurrency,
    #[error("an amount is between 0 and {MAX_AMOUNT}")]
    OutOfRange,
    #[error("amounts of different currencies cannot be added")]
    MixedCurrencies,
}

impl Currency {
    pub const KRW: Currency = Currency(*b"KRW");

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::BadCurrency),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl Money {
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if (0..=MAX_AMOUNT).contains(&amount) { Ok(Self { amount, currency }) } else { Err(MoneyError::OutOfRange) }
    }

    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(i64::from(count)).ok_or(MoneyError::OutOfRange)?;
        Self::new(amount, self.currency)
    }

    pub fn plus(self, other: Money) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies);
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::OutOfRange)?;
        Self::new(amount, self.currency)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_overflows_is_refused_not_wrapped() {
        let dear = Money::new(MAX_AMOUNT, Currency::KRW).unwrap();
        assert_eq!(dear.times(u32::MAX), Err(MoneyError::OutOfRange));
        assert_eq!(dear.plus(dear), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn won_and_dollars_do_not_add_up() {
        let won = Money::new(1, Currency::KRW).unwrap();
        let cents = Money::new(1, "USD".parse().unwrap()).unwrap();
        assert_eq!(won.plus(cents), Err(MoneyError::MixedCurrencies));
    }

    #[test]
    fn a_negative_amount_is_no_money() {
        assert_eq!(Money::new(-1, Currency::KRW), Err(MoneyError::OutOfRange));
    }
}
