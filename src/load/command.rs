//! What is measured by name: the commands of a life, and the reading in between.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Place,
    Cancel,
    Confirm,
    Accept,
    Reject,
    StartPreparation,
    FinishPreparation,
    Assign,
    Depart,
    Claim,
    AcceptDelivery,
    PickUp,
    Deliver,
    /// Looking at an order until what is waited for has happened by itself.
    Read,
    /// Opening the stores, and what riders' apps say about where they are.
    Around,
}

impl Command {
    pub(super) const ALL: [Command; 15] = [
        Command::Place,
        Command::Cancel,
        Command::Confirm,
        Command::Accept,
        Command::Reject,
        Command::StartPreparation,
        Command::FinishPreparation,
        Command::Assign,
        Command::Depart,
        Command::Claim,
        Command::AcceptDelivery,
        Command::PickUp,
        Command::Deliver,
        Command::Read,
        Command::Around,
    ];

    /// The word of the route.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Cancel => "cancel",
            Self::Confirm => "confirm",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::StartPreparation => "start-preparation",
            Self::FinishPreparation => "finish-preparation",
            Self::Assign => "assign",
            Self::Depart => "depart",
            Self::Claim => "claim",
            Self::AcceptDelivery => "accept-delivery",
            Self::PickUp => "pick-up",
            Self::Deliver => "deliver",
            Self::Read => "(read)",
            Self::Around => "(riders' places)",
        }
    }

    /// Whether it changes an order.
    pub(super) const fn is_command(self) -> bool {
        !matches!(self, Self::Read | Self::Around)
    }
}
