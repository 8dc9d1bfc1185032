//! The two verbs that publish: a module becomes an image, and an image goes to a registry.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use oci_client::Reference;
use oci_client::secrets::RegistryAuth;

use crate::command::Push;
use crate::failure::Failure;
use crate::image::Image;
use crate::registry::{self, Access};
use crate::{credentials, layout, reference};

/// Makes an image of a module in a folder. Yields the digest that pins it.
pub(crate) fn package(module: &Path, tag: Option<&str>, folder: &Path) -> Result<String, Failure> {
    if let Some(tag) = tag {
        reference::parse(tag).map_err(|error| Failure::NotDone(format!("--tag: {error}")))?;
    }
    let image = packed(module)?;
    layout::write(folder, &image, tag)?;
    Ok(image.digest())
}

/// Pushes an image. Yields the reference with the digest that pins it.
pub(crate) fn push(push: &Push) -> Result<String, Failure> {
    let target = reference::parse(&push.reference).map_err(Failure::NotDone)?;
    let image = if push.image.is_dir() {
        layout::read(&push.image).map_err(|failure| failure.of(push.image.display()))?
    } else {
        packed(&push.image)?
    };
    let access = Access {
        plain_http: push.plain_http,
        authorities: push.ca_file.as_deref().map(authorities).transpose()?,
        auth: auth(push.username.as_deref(), &target)?,
    };
    let anonymous = access.auth == RegistryAuth::Anonymous;
    registry::push(&image, &target, access).map_err(|told| {
        let hint = match anonymous && told.starts_with("not authorized") {
            true => "; there are no credentials for it: see `outrigger --help`",
            false => "",
        };
        Failure::NotDone(format!("{}: {told}{hint}", push.reference))
    })?;
    Ok(format!("{}@{}", push.reference, image.digest()))
}

/// The image of a module. The module's name is its file's.
fn packed(module: &Path) -> Result<Image, Failure> {
    let told = |error: String| format!("{}: {error}", module.display());
    let bytes = fs::read(module).map_err(|error| Failure::NotDone(told(error.to_string())))?;
    let name = module.file_stem().unwrap_or_default().to_string_lossy();
    Image::pack(&name, &bytes).map_err(|error| Failure::Refused(told(error)))
}

fn authorities(file: &Path) -> Result<Vec<u8>, Failure> {
    let told = |error: String| Failure::NotDone(format!("{}: {error}", file.display()));
    let pem = fs::read(file).map_err(|error| told(error.to_string()))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    match pem.windows(begin.len()).any(|window| window == begin) {
        true => Ok(pem),
        false => Err(told("it holds no certificate in PEM".to_owned())),
    }
}

fn auth(username: Option<&str>, target: &Reference) -> Result<RegistryAuth, Failure> {
    if let Some(username) = username {
        let mut password = String::new();
        io::stdin()
            .read_to_string(&mut password)
            .map_err(|error| Failure::NotDone(format!("the password: {error}")))?;
        // What ends the line that `echo` writes is no part of it.
        let password = password.strip_suffix('\n').unwrap_or(&password);
        let password = password.strip_suffix('\r').unwrap_or(password);
        return Ok(RegistryAuth::Basic(username.to_owned(), password.to_owned()));
    }
    let Some(file) = credentials::file() else {
        return Ok(RegistryAuth::Anonymous);
    };
    let told = |error: String| Failure::NotDone(format!("{}: {error}", file.display()));
    match fs::read(&file) {
        Ok(text) => credentials::find(&text, target).map_err(told),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(told(error.to_string())),
    }
}
