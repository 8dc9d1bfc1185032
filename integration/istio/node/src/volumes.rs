//! Decides what a pod's volumes hold: emptyDir, configMap, secret, downwardAPI, and projected with tokens. They are files
//! in the pod's directory, written when the pod starts and not followed afterwards, except tokens, which outlive any test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount, Volume,
    VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::environment;

/// A pod's volumes, being written.
pub(crate) struct Volumes<'a> {
    /// Asked for what they hold.
    pub(crate) client: &'a Client,
    /// The pod they are of, with its status.
    pub(crate) pod: &'a Pod,
    /// The pod's directory.
    pub(crate) directory: &'a Path,
}

impl Volumes<'_> {
    /// Writes every volume; the answer says where each is.
    pub(crate) async fn write(&self) -> Result<BTreeMap<String, PathBuf>> {
        let mut written = BTreeMap::new();
        for volume in self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let path = self.directory.join("volumes").join(&volume.name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
            self.fill(volume, &path).await.with_context(|| format!("volume {}", volume.name))?;
            written.insert(volume.name.clone(), path);
        }
        Ok(written)
    }

    async fn fill(&self, volume: &Volume, path: &Path) -> Result<()> {
        if volume.empty_dir.is_some() {
            Ok(())
        } else if let Some(map) = &volume.config_map {
            self.config_map(&map.name, map.items.as_deref(), map.optional, path).await
        } else if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            self.secret(name, secret.items.as_deref(), secret.optional, path).await
        } else if let Some(downward) = &volume.downward_api {
            self.downward(downward.items.as_deref().unwrap_or_default(), path)
        } else if let Some(projected) = &volume.projected {
            for source in projected.sources.iter().flatten() {
                self.project(source, path).await?;
            }
            Ok(())
        } else {
            bail!("a kind of volume that this node does not have")
        }
    }

    async fn project(&self, source: &VolumeProjection, path: &Path) -> Result<()> {
        if let Some(token) = &source.service_account_token {
            let account = environment::account(self.pod);
            let request = TokenRequest {
                spec: Some(TokenRequestSpec {
                    audiences: token.audience.clone().map(|audience| vec![audience]),
                    expiration_seconds: token.expiration_seconds,
                    bound_object_ref: Some(BoundObjectReference {
                        api_version: Some("v1".to_owned()),
                        kind: Some("Pod".to_owned()),
                        name: Some(self.pod.name_any()),
                        uid: self.pod.uid(),
                    }),
                }),
                ..TokenRequest::default()
            };
            let accounts: Api<ServiceAccount> = self.api();
            let answer =
                accounts.create_token_request(&account, &PostParams::default(), &request).await?;
            self.put(
                path,
                &token.path,
                answer.status.unwrap_or_default().token.unwrap_or_default().as_bytes(),
            )?;
        }
        if let Some(map) = &source.config_map {
            self.config_map(&map.name, map.items.as_deref(), map.optional, path).await?;
        }
        if let Some(secret) = &source.secret {
            self.secret(&secret.name, secret.items.as_deref(), secret.optional, path).await?;
        }
        if let Some(downward) = &source.downward_api {
            self.downward(downward.items.as_deref().unwrap_or_default(), path)?;
        }
        Ok(())
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        to: &Path,
    ) -> Result<()> {
        let Some(map) = self.api::<ConfigMap>().get_opt(name).await? else {
            return absent(name, optional);
        };
        let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
        let bytes = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
        self.put_items(text.chain(bytes).collect(), items, to)
    }

    async fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        to: &Path,
    ) -> Result<()> {
        let Some(secret) = self.api::<Secret>().get_opt(name).await? else {
            return absent(name, optional);
        };
        self.put_items(
            secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect(),
            items,
            to,
        )
    }

    fn downward(&self, items: &[DownwardAPIVolumeFile], to: &Path) -> Result<()> {
        for item in items {
            let path = item.field_ref.as_ref().map_or("", |field| &field.field_path);
            self.put(to, &item.path, environment::field(self.pod, path).as_bytes())?;
        }
        Ok(())
    }

    fn put_items(
        &self,
        data: BTreeMap<String, Vec<u8>>,
        items: Option<&[KeyToPath]>,
        to: &Path,
    ) -> Result<()> {
        match items {
            None => data.iter().try_for_each(|(key, value)| self.put(to, key, value)),
            Some(items) => items.iter().try_for_each(|item| match data.get(&item.key) {
                Some(value) => self.put(to, &item.path, value),
                None => bail!("no key {}", item.key),
            }),
        }
    }

    fn put(&self, folder: &Path, name: &str, value: &[u8]) -> Result<()> {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, value)?;
        let group =
            self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()?.fs_group);
        chown(&path, None, group.and_then(|group| u32::try_from(group).ok()))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}

fn absent(name: &str, optional: Option<bool>) -> Result<()> {
    if optional == Some(true) { Ok(()) } else { bail!("{name} not found") }
}
