//! Everything in a file's record: times, names, attributes and the positions of their clusters, descriptors.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::mft::{Attribute, AttributeValue, name_of};
use super::runs::NtfsRun;
use super::{NtfsCompressedStream, NtfsFile, NtfsReader, NtfsStream, read_into, read_record};
use crate::content::Extent;
use crate::error::{Error, Result};
use crate::types::{ByteSize, FileTime, Lcn, Utf16Name};
use crate::volume::ntfs::format::*;

/// A larger `$Secure:$SDS` is treated as damage.
const MAX_DESCRIPTORS: u64 = 256 << 20;
/// Longest security descriptor.
const MAX_DESCRIPTOR: u64 = 64 << 10;
/// `$SDS` repeats every part of this length after it.
const DESCRIPTOR_PART: u64 = 256 << 10;

/// An attribute of a file.
#[derive(Clone, Copy)]
pub struct NtfsAttribute<'f>(&'f Attribute);

/// A name of a file.
#[derive(Clone, Debug)]
pub struct NtfsName {
    /// The directory that contains the name.
    pub parent: FileReference,
    /// The name.
    pub name: Utf16Name,
    /// One of [`namespace`].
    pub namespace: u8,
}

/// The security descriptors that the files of a volume share.
pub struct NtfsDescriptors<'a> {
    stream: NtfsStream<'a>,
    /// Offset and length in the stream, without the header.
    places: BTreeMap<u32, (u64, u32)>,
}

impl<'a> NtfsReader<'a> {
    /// Number of MFT records, free ones included.
    pub fn record_count(&self) -> u64 {
        self.records()
    }

    /// Bytes of an MFT record.
    pub fn record_size(&self) -> ByteSize {
        ByteSize::new(self.geometry.record_size as u64)
    }

    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> ByteSize {
        ByteSize::new(self.geometry.cluster_size)
    }

    /// The file whose base record is `number`.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) also if the record is free or an extension.
    pub fn file_in_record(&self, number: u64) -> Result<NtfsFile> {
        self.file_in(number)
    }

    /// The base record of the file to which record `number` belongs; that is `number` itself if it is a base record.
    /// `None` if the record is free.
    pub fn owner_of_record(&self, number: u64) -> Result<Option<u64>> {
        let record = read_record(&self.mft, number, &self.geometry)?;
        if record.header.flags.get() & record_flag::IN_USE == 0 {
            return Ok(None);
        }
        Ok(Some(match record.header.base_reference.get() {
            0 => number,
            base => FileReference(base).record(),
        }))
    }

    /// The stored bytes of any attribute of `file`, also of a file that WOF compresses.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it is compressed or encrypted by NTFS.
    pub fn attribute_stream(&self, attribute: NtfsAttribute<'_>) -> Result<NtfsStream<'a>> {
        NtfsStream::new(self.volume, self.geometry.cluster_size, attribute.0)
    }

    /// The decompressed bytes of the stream `name` of `file`, if NTFS compresses it (LZNT1); `None` if it does not.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for another compression.
    pub fn compressed_stream(&self, file: &NtfsFile, name: &str) -> Result<Option<NtfsCompressedStream<'a>>> {
        let Some(attribute) = file.attribute(attribute_type::DATA, &name.into()) else { return Ok(None) };
        NtfsCompressedStream::new(self.volume, self.geometry.cluster_size, attribute)
    }

    /// All bytes of an attribute, at most `limit`; `None` if the file has no such attribute.
    pub fn attribute_value(&self, file: &NtfsFile, kind: u32, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(attribute) = file.attribute(kind, &name.into()) else { return Ok(None) };
        let stream = self.attribute_stream(NtfsAttribute(attribute))?;
        if stream.size() > limit.min(self.size().bytes()) {
            let size = stream.size();
            return Err(Error::corrupt(format!("attribute {kind:#x} of {size} bytes is larger than {limit}")));
        }
        let mut bytes = vec![0; stream.size() as usize];
        read_into(&stream, 0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The table of the volume's security descriptors.
    pub fn descriptors(&self) -> Result<NtfsDescriptors<'a>> {
        let secure = self.file_in(record::SECURE)?;
        let stream = self.open_attribute(&secure, attribute_type::DATA, "$SDS")?;
        let stream = stream.ok_or_else(|| Error::corrupt("$Secure has no descriptors"))?;
        if stream.size() > MAX_DESCRIPTORS.min(self.size().bytes()) {
            return Err(Error::corrupt(format!("$Secure cannot have {} bytes of descriptors", stream.size())));
        }
        let (mut places, mut at) = (BTreeMap::new(), 0);
        let mut bytes = [0; size_of::<SecurityHeader>()];
        while at + bytes.len() as u64 <= stream.size() {
            read_into(&stream, at, &mut bytes)?;
            let header = SecurityHeader::read_from_bytes(&bytes).expect("the array has the struct's size");
            let len = u64::from(header.length.get());
            let body = len.checked_sub(bytes.len() as u64).filter(|&body| body > 0 && body <= MAX_DESCRIPTOR);
            match body.filter(|_| header.offset.get() == at && at + len <= stream.size()) {
                Some(body) => {
                    places.insert(header.security_id.get(), (at + bytes.len() as u64, body as u32));
                    at = (at + len).next_multiple_of(16);
                }
                // The rest of the part is empty.
                None => at = (at / DESCRIPTOR_PART + 1) * DESCRIPTOR_PART,
            }
            if !(at / DESCRIPTOR_PART).is_multiple_of(2) {
                at = (at / DESCRIPTOR_PART + 1) * DESCRIPTOR_PART;
            }
        }
        Ok(NtfsDescriptors { stream, places })
    }
}

impl NtfsDescriptors<'_> {
    /// The self-relative security descriptor ([MS-DTYP] 2.4.6) of `file`; `None` if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the volume does not have the descriptor that the file
    /// names.
    pub fn of(&self, file: &NtfsFile) -> Result<Option<Vec<u8>>> {
        let own = file.attribute(attribute_type::SECURITY_DESCRIPTOR, &"".into());
        if let Some(own) = own.and_then(Attribute::resident) {
            return Ok(Some(own.to_vec()));
        }
        match file.security_id() {
            Some(id) if id != 0 => self.get(id).map(Some),
            _ => Ok(None),
        }
    }

    /// The descriptor with number `id`.
    pub fn get(&self, id: u32) -> Result<Vec<u8>> {
        let missing = || Error::corrupt(format!("the volume has no security descriptor {id}"));
        let &(offset, len) = self.places.get(&id).ok_or_else(missing)?;
        let mut bytes = vec![0; len as usize];
        read_into(&self.stream, offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl NtfsFile {
    /// All attributes, each joined from its parts.
    pub fn attributes(&self) -> impl Iterator<Item = NtfsAttribute<'_>> {
        self.attributes.iter().map(NtfsAttribute)
    }

    /// `$STANDARD_INFORMATION`: times and attribute bits. On volumes of Windows NT 4 the fields after the first 48
    /// bytes are zero.
    pub fn standard_information(&self) -> Option<StandardInformation> {
        let value = self.attribute(attribute_type::STANDARD_INFORMATION, &"".into())?.resident()?;
        let mut bytes = [0; size_of::<StandardInformation>()];
        let len = value.len().min(bytes.len());
        bytes[..len].copy_from_slice(&value[..len]);
        (len >= 48).then(|| StandardInformation::read_from_bytes(&bytes).expect("the array has the struct's size"))
    }

    /// Times of creation, modification, record change and access.
    pub fn times(&self) -> Option<[FileTime; 4]> {
        Some(self.standard_information()?.times.map(|time| FileTime(time.get())))
    }

    /// Number of the security descriptor.
    pub fn security_id(&self) -> Option<u32> {
        self.standard_information().map(|information| information.security_id.get())
    }

    /// All names, including those for DOS.
    pub fn names(&self) -> Vec<NtfsName> {
        let names = self.attributes.iter().filter(|attribute| attribute.kind == attribute_type::FILE_NAME);
        let names = names.filter_map(|attribute| {
            let (header, name) = FileName::read_from_prefix(attribute.resident()?).ok()?;
            let name = name_of(name.get(..2 * usize::from(header.name_length))?);
            let parent = FileReference(header.parent.get());
            Some(NtfsName { parent, name, namespace: header.namespace })
        });
        names.collect()
    }

    /// Number of hard links: of names, without those for DOS.
    pub fn link_count(&self) -> usize {
        self.names().iter().filter(|name| name.namespace != namespace::DOS).count()
    }
}

impl<'f> NtfsAttribute<'f> {
    /// One of [`attribute_type`].
    pub fn kind(&self) -> u32 {
        self.0.kind
    }

    /// Name of the attribute; empty for the contents of a file.
    pub fn name(&self) -> &'f Utf16Name {
        &self.0.name
    }

    /// Bits of [`attribute_flag`].
    pub fn flags(&self) -> u16 {
        self.0.flags
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.0.len()
    }

    /// Its bytes, if it is resident.
    pub fn resident(&self) -> Option<&'f [u8]> {
        self.0.resident()
    }

    /// The positions of its clusters, in ascending order of the attribute; empty if it is resident.
    pub fn runs(self) -> impl Iterator<Item = NtfsRun> + 'f {
        let runs = match &self.0.value {
            AttributeValue::Resident(_) => None,
            AttributeValue::NonResident { runs, .. } => Some(runs.list()),
        };
        runs.into_iter().flatten()
    }

    /// The ranges of the attribute that are stored, in ascending order: all of it if it is resident, else its clusters
    /// up to the end of what was ever written. The rest is zeros.
    pub fn stored_parts(&self, cluster_size: ByteSize) -> Vec<Extent> {
        let AttributeValue::NonResident { initialized_size, data_size, .. } = &self.0.value else {
            return vec![Extent { start: 0, len: self.size() }];
        };
        let (end, cluster) = (*initialized_size.min(data_size), cluster_size.bytes());
        let stored = self.runs().filter(|run| run.lcn.is_some()).map(|run| {
            let start = run.vcn.0.saturating_mul(cluster);
            let len = run.clusters.saturating_mul(cluster).min(end.saturating_sub(start));
            Extent { start, len }
        });
        stored.filter(|part| part.len > 0).collect()
    }

    /// First cluster on the volume.
    pub fn first_lcn(&self) -> Option<Lcn> {
        self.runs().find_map(|run| run.lcn)
    }
}
