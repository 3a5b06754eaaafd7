//! A disk that fails on demand and knows what a loss of power would leave. Files are real ones in
//! memory, so that they can be mapped; beside them stands the [`Model`] of what is durable.
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use storage::disk::{Access, Disk, DiskDir, DiskFile, Entry, FileInfo, Pages, RealDisk};

use crate::faults::{Bug, Fault, Faults};
use crate::image::Crash;
use crate::model::{Change, DirModel, FileChange, FileModel, Model, NameChange, Node, apply};
use crate::random::Random;
use crate::world::World;

/// The disk at some moment, and what was promised up to then.
#[derive(Debug, Clone)]
pub struct Moment {
    pub model: Model,
    pub world: World,
}

/// What lies behind a [`SimulatedDisk`] and the files that are open on it.
#[derive(Debug)]
pub struct State {
    pub model: Model,
    pub world: World,
    pub faults: Faults,
    pub now_ms: i64,
    /// Moments that were picked at random since they were last taken.
    pub moments: Vec<Moment>,
    /// Every how many changes a moment is picked.
    pub pick_one_in: usize,
    pub random: Random,
    pub bug: Option<Bug>,
    root: PathBuf,
    /// Files whose sync was put off by a planted bug.
    put_off: Vec<usize>,
}

/// The disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

impl SimulatedDisk {
    /// A disk that holds `model`, whose files are in `root`.
    pub fn new(root: &Path, model: Model, world: World, random: Random) -> Self {
        let state = State {
            model,
            world,
            faults: Faults::default(),
            now_ms: 0,
            moments: Vec::new(),
            pick_one_in: usize::MAX,
            random,
            bug: None,
            root: root.to_owned(),
            put_off: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Everything about it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Called before each change: this is a moment at which power can go.
    fn before_change(&mut self) {
        self.model.time += 1;
        if self.random.one_in(self.pick_one_in) {
            let (model, world) = (self.model.clone(), self.world.clone());
            self.moments.push(Moment { model, world });
        }
        for file in std::mem::take(&mut self.put_off) {
            Arc::make_mut(&mut self.model.files[file]).commit();
        }
    }

    /// The folder that holds `path`, and the name in it.
    fn locate(&self, path: &Path) -> io::Result<(usize, String)> {
        let dir = self.dir(path.parent().unwrap())?;
        Ok((dir, path.file_name().unwrap().to_str().unwrap().to_owned()))
    }

    fn dir(&self, path: &Path) -> io::Result<usize> {
        let mut dir = 0;
        for name in path.strip_prefix(&self.root).unwrap() {
            match self.model.dirs[dir].live.get(name.to_str().unwrap()) {
                Some(Node::Dir(inner)) => dir = *inner,
                _ => return Err(ErrorKind::NotFound.into()),
            }
        }
        Ok(dir)
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let (dir, name) = self.locate(path)?;
        let node = self.model.dirs[dir].live.get(&name);
        node.copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file(&mut self, file: usize) -> &mut FileModel {
        Arc::make_mut(&mut self.model.files[file])
    }

    fn change_file(&mut self, file: usize, what: FileChange) {
        let (time, now_ms) = (self.model.time, self.now_ms);
        let model = self.file(file);
        model.length = match &what {
            FileChange::Write { at, data } => model.length.max(at + data.len()),
            FileChange::Length(length) => *length,
        };
        model.modified_ms = now_ms;
        model.changes.push(Change { time, what });
    }

    fn change_names(&mut self, dir: usize, what: NameChange) {
        let time = self.model.time;
        let dir = Arc::make_mut(&mut self.model.dirs[dir]);
        apply(&mut dir.live, &what);
        dir.changes.push(Change { time, what });
    }

    fn create_file(&mut self, dir: usize, name: String) -> usize {
        let file = self.model.files.len();
        self.model.files.push(Arc::default());
        self.change_names(dir, NameChange::Put(name, Node::File(file)));
        file
    }

    fn sync_file(&mut self, file: usize, name: &str) -> io::Result<()> {
        self.before_change();
        let model = self.file(file);
        if model.changes.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.faults.check(Fault::Sync) {
            let mut lost = Crash::Each(50, self.random.fork());
            self.file(file).fail_to_commit(&mut lost);
            // Asked once more, the system would say that all is well.
            return match self.bug {
                Some(Bug::SyncTriedAgain) => Ok(()),
                _ => Err(error),
            };
        }
        let extension = Path::new(name).extension().and_then(|e| e.to_str());
        match self.bug {
            Some(Bug::NoSyncBeforeRename) if extension == Some("tmp") => {}
            Some(Bug::NoSyncOfCleaned) if extension == Some("cleaned") => {}
            Some(Bug::NoSyncOfAborted) if name.contains(".txnindex") => {}
            Some(Bug::AcknowledgedBeforeSync) if extension == Some("log") => {
                self.put_off.push(file);
            }
            _ => self.file(file).commit(),
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let (dir, name) = state.locate(path)?;
        let known = state.model.dirs[dir].live.get(&name).copied();
        let creates = matches!(access, Access::Create | Access::WriteOrCreate);
        if creates {
            state.before_change();
            state.faults.check(Fault::Create)?;
        }
        let inner = RealDisk.open(path, access)?;
        let file = match known {
            Some(Node::File(file)) => file,
            Some(Node::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
            None => state.create_file(dir, name.clone()),
        };
        if access == Access::Create && known.is_some() {
            state.change_file(file, FileChange::Length(0));
        }
        Ok(Arc::new(File {
            inner,
            id: file,
            name,
            access,
            state: Arc::clone(&self.state),
        }))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        let dir = self.state().dir(path)?;
        let inner = RealDisk.open_dir(path)?;
        let state = Arc::clone(&self.state);
        Ok(Box::new(Dir {
            inner,
            id: dir,
            state,
        }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.before_change();
        state.faults.check(Fault::Create)?;
        RealDisk.create_dir(path)?;
        let (dir, name) = state.locate(path)?;
        let node = Node::Dir(state.model.dirs.len());
        state.model.dirs.push(Arc::new(DirModel::default()));
        state.change_names(dir, NameChange::Put(name, node));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }

    fn info(&self, path: &Path) -> io::Result<FileInfo> {
        let state = self.state();
        let Node::File(file) = state.node(path)? else {
            return RealDisk.info(path);
        };
        let file = &state.model.files[file];
        Ok(FileInfo {
            length: file.length as u64,
            modified_ms: Some(file.modified_ms),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.before_change();
        state.faults.check(Fault::Rename)?;
        let (dir, old) = state.locate(from)?;
        let (_, new) = state.locate(to)?;
        let node = state.node(from)?;
        RealDisk.rename(from, to)?;
        state.change_names(dir, NameChange::Rename(old, new, node));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (dir, name) = state.locate(path)?;
        state.node(path)?;
        state.before_change();
        RealDisk.remove(path)?;
        state.change_names(dir, NameChange::Remove(name));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let Node::Dir(inner) = state.node(path)? else {
            return Err(ErrorKind::NotADirectory.into());
        };
        let names: BTreeMap<String, Node> = state.model.dirs[inner].live.clone();
        for name in names.into_keys() {
            state.before_change();
            RealDisk.remove(&path.join(&name))?;
            state.change_names(inner, NameChange::Remove(name));
        }
        state.before_change();
        RealDisk.remove_dir_all(path)?;
        let (dir, name) = state.locate(path)?;
        state.change_names(dir, NameChange::Remove(name));
        Ok(())
    }
}

/// An open folder.
#[derive(Debug)]
struct Dir {
    inner: Box<dyn DiskDir>,
    id: usize,
    state: Arc<Mutex<State>>,
}

impl DiskDir for Dir {
    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if !state.model.dirs[self.id].live.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        state.before_change();
        self.inner.remove(name)?;
        state.change_names(self.id, NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.before_change();
        state.faults.check(Fault::Sync)?;
        let is_left_out = match state.bug {
            Some(Bug::NoFolderSync) => true,
            Some(Bug::NoFolderSyncInSwap) => {
                let names = &state.model.dirs[self.id].live;
                names.keys().any(|name| name.contains(".log.swap"))
            }
            _ => false,
        };
        if !is_left_out {
            Arc::make_mut(&mut state.model.dirs[self.id]).commit();
        }
        Ok(())
    }

    fn sync_file_system(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.before_change();
        state.faults.check(Fault::Sync)?;
        let model = &mut state.model;
        model
            .files
            .iter_mut()
            .for_each(|file| Arc::make_mut(file).commit());
        model
            .dirs
            .iter_mut()
            .for_each(|dir| Arc::make_mut(dir).commit());
        Ok(())
    }
}

/// An open file.
#[derive(Debug)]
struct File {
    inner: Arc<dyn DiskFile>,
    id: usize,
    name: String,
    access: Access,
    state: Arc<Mutex<State>>,
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.before_change();
        let mut data: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        let given = data.len();
        let at = position as usize;
        let grows = at + data.len() > state.model.files[self.id].length;
        let fault = state.faults.check(Fault::Write { grows });
        let short = fault.is_err() || state.faults.check(Fault::ShortWrite).is_err();
        if short {
            let length = state.random.below(data.len());
            data.truncate(length.max(usize::from(fault.is_ok())));
        }
        let written = data.len();
        if written == given
            && state.bug == Some(Bug::RecoveryPointsAhead)
            && self.name == "recovery-point-offset-checkpoint.tmp"
        {
            data = state.world.recovery_points_ahead();
        }
        let mut done = 0;
        while done < data.len() {
            let rest = [IoSlice::new(&data[done..])];
            done += self.inner.write_at(&rest, position + done as u64)?;
        }
        let data: Arc<[u8]> = data.into();
        state.change_file(self.id, FileChange::Write { at, data });
        fault.map(|()| written)
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.before_change();
        state.faults.check(Fault::Allocate)?;
        let length = (position + length) as usize;
        if length > state.model.files[self.id].length {
            self.inner.set_length(length as u64)?;
            state.change_file(self.id, FileChange::Length(length));
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.before_change();
        self.inner.set_length(length)?;
        state.change_file(self.id, FileChange::Length(length as usize));
        Ok(())
    }

    fn set_modified(&self, modified_ms: i64) -> io::Result<()> {
        self.state.lock().unwrap().file(self.id).modified_ms = modified_ms;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.lock().unwrap().sync_file(self.id, &self.name)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn map(&self, length: usize) -> io::Result<Pages> {
        if self.access != Access::Read {
            return self.inner.map(length);
        }
        let mut content = vec![0; length.min(self.length()? as usize)];
        let read = self.inner.read_at(&mut content, 0)?;
        content.truncate(read);
        Ok(Pages::held(Bytes::from(content)))
    }
}
