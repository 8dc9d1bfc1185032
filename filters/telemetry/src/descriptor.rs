//! Services and their methods out of a set of descriptors, as `protoc --descriptor_set_out` writes it: the part of
//! `google/protobuf/descriptor.proto` that names them, with its numbers of fields. What else is in it is passed over.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Set {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    service: Vec<RawService>,
}

#[derive(Clone, PartialEq, Message)]
struct RawService {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
}

/// A service of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its full name.
    pub(crate) name: String,
    /// The names of its methods.
    pub(crate) methods: Vec<String>,
}

/// The services of a `FileDescriptorSet`, those of imported files included; `None` if it is none.
pub(crate) fn services(set: &[u8]) -> Option<Vec<Service>> {
    let files = Set::decode(set).ok()?.file;
    let named = |package: &str, raw: RawService| {
        let dot = if package.is_empty() { "" } else { "." };
        let methods = raw.method.into_iter().map(|method| method.name).collect();
        Service { name: [package, dot, &raw.name].concat(), methods }
    };
    let of = |file: File| {
        let File { package, service } = file;
        service.into_iter().map(move |raw| named(&package, raw)).collect::<Vec<_>>()
    };
    Some(files.into_iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of bytes, by its number.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn names_are_read_and_all_else_is_passed_over() {
        let list = [field(1, b"List"), field(2, b".shop.v1.Empty"), vec![6 << 3, 1]].concat();
        let service = [field(1, b"Catalogue"), field(2, &list), field(3, b"")].concat();
        let message = field(1, b"Empty");
        let shop = [
            field(1, b"shop.proto"),
            field(2, b"shop.v1"),
            field(3, b"other.proto"),
            field(4, &message),
            field(6, &service),
            field(12, b"proto3"),
        ];
        let other = [field(1, b"other.proto"), field(6, &field(1, b"Bare"))];
        let set = [field(1, &shop.concat()), field(1, &other.concat())].concat();
        let service = |name: &str, methods: &[&str]| Service {
            name: name.to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        };
        let expected = vec![service("shop.v1.Catalogue", &["List"]), service("Bare", &[])];
        assert_eq!(services(&set), Some(expected));
        assert_eq!(services(b""), Some(Vec::new()));
        // Cut short, and a file that is in no set.
        assert_eq!(services(&set[..set.len() - 1]), None);
        assert_eq!(services(&shop.concat()), None);
    }
}
