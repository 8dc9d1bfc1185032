//! Reading and changing JSON documents by JSON Pointer (RFC 6901), with errors that say where.

use serde_json::Value;

/// What stands at `pointer`.
///
/// # Errors
/// When nothing does.
pub(crate) fn at<'a>(document: &'a Value, pointer: &str) -> Result<&'a Value, String> {
    document.pointer(pointer).ok_or_else(|| format!("nothing at {pointer}"))
}

/// The list at `pointer`.
///
/// # Errors
/// When there is none.
pub(crate) fn list<'a>(
    document: &'a mut Value,
    pointer: &str,
) -> Result<&'a mut Vec<Value>, String> {
    let found = document.pointer_mut(pointer).and_then(Value::as_array_mut);
    found.ok_or_else(|| format!("no list at {pointer}"))
}

/// The item called `name` of the list at `pointer`.
///
/// # Errors
/// When there is none.
pub(crate) fn named<'a>(
    document: &'a mut Value,
    pointer: &str,
    name: &str,
) -> Result<&'a mut Value, String> {
    let items = list(document, pointer)?;
    items
        .iter_mut()
        .find(|item| is_named(item, name))
        .ok_or_else(|| format!("no `{name}` in {pointer}"))
}

/// Puts `value` at `pointer`, in the place of what was there; its last step may be new.
///
/// # Errors
/// When there is no object to put it into.
pub(crate) fn put(document: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let fault = || format!("no object to hold {pointer}");
    let (parent, member) = pointer.rsplit_once('/').ok_or_else(fault)?;
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(fault)?;
    parent.insert(member.to_owned(), value);
    Ok(())
}

/// The member `name` of an item of a list.
pub(crate) fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

/// Whether that is an item's name.
pub(crate) fn is_named(item: &Value, name: &str) -> bool {
    self::name(item) == Some(name)
}
