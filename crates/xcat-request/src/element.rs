//! A parsed document: names, text, children.

/// One element. xCAT's parser takes attributes and child elements as the same thing, so an attribute
/// is here the element's first child (in the order written), with the value as its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The tag, as written.
    pub name: String,
    /// The text directly inside, decoded, blanks kept; nothing if it is only the white space that
    /// indents children.
    pub text: String,
    /// What is inside, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// An element with nothing inside but text.
    pub fn leaf(name: impl Into<String>, text: impl Into<String>) -> Element {
        Element {
            name: name.into(),
            text: text.into(),
            children: Vec::new(),
        }
    }

    /// An element with children.
    pub fn node(name: impl Into<String>, children: Vec<Element>) -> Element {
        Element {
            name: name.into(),
            text: String::new(),
            children,
        }
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name; an empty one gives `Some("")`.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Every child of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}
