//! One history with all its crashes, from one seed.
use std::path::{Path, PathBuf};

use crate::check::check;
use crate::disk::{Moment, SimulatedDisk};
use crate::faults::{Bug, Faults};
use crate::history::{NOW, Process};
use crate::image::{Crash, Image};
use crate::memory::folder_in_memory;
use crate::model::Model;
use crate::random::Random;
use crate::world::World;

/// Losses of power in a history; it goes on from what is left.
const LIVES: usize = 3;
/// Operations between two losses of power.
const STEPS: usize = 60;
/// Images that are made of one moment.
const IMAGES_PER_MOMENT: usize = 3;
/// Every how many changes of the disk a moment is looked at.
const PICK_ONE_IN: usize = 40;

/// What a history came to.
#[derive(Debug)]
pub struct Outcome {
    /// How many images were checked.
    pub images: u64,
    /// The first promise that was broken.
    pub broken: Option<String>,
}

/// Whether to say what happens, and to keep the image that breaks a promise.
pub fn trace() -> bool {
    std::env::var_os("KLAMM_CRASH_TRACE").is_some()
}

struct Run {
    scratch: tempfile::TempDir,
    random: Random,
    bug: Option<Bug>,
    images: u64,
    folders: u32,
}

/// Runs the history of `seed`.
pub fn run(seed: u64, bug: Option<Bug>) -> Outcome {
    let mut run = Run {
        scratch: folder_in_memory(),
        random: Random::new(seed),
        bug,
        images: 0,
        folders: 0,
    };
    let broken = run.all_lives().err();
    Outcome {
        images: run.images,
        broken,
    }
}

impl Run {
    fn folder(&mut self) -> PathBuf {
        self.folders += 1;
        let path = self.scratch.path().join(self.folders.to_string());
        std::fs::create_dir(&path).unwrap();
        path
    }

    fn all_lives(&mut self) -> Result<(), String> {
        let (mut model, mut world) = (Model::default(), World::default());
        let mut image = Image::of(&model, Crash::All);
        for life in 0..LIVES {
            let dir = self.folder();
            image.write(&dir).unwrap();
            let disk = SimulatedDisk::new(&dir, model, world, self.random.fork());
            {
                let mut state = disk.state();
                (state.bug, state.pick_one_in) = (self.bug, PICK_ONE_IN);
            }
            let last = self
                .one_life(&disk, &dir)
                .map_err(|broken| format!("life {life}: {broken}"))?;
            image = Image::of(&last.model, Crash::any(&mut self.random, last.model.time));
            model = image.model(NOW);
            world = last.world;
            std::fs::remove_dir_all(&dir).unwrap();
        }
        Ok(())
    }

    /// Operations up to a loss of power, over several processes.
    fn one_life(&mut self, disk: &SimulatedDisk, dir: &Path) -> Result<Moment, String> {
        let mut process = None;
        for step in 0..STEPS {
            process = match process.take() {
                None => self.start(disk, dir),
                Some(mut running) => Process::step(&mut running).then_some(running),
            };
            let moments = std::mem::take(&mut disk.state().moments);
            for moment in moments {
                self.check(&moment)
                    .map_err(|broken| format!("step {step}: {broken}"))?;
            }
        }
        let state = disk.state();
        let (model, world) = (state.model.clone(), state.world.clone());
        drop(state);
        let last = Moment { model, world };
        self.check(&last)?;
        Ok(last)
    }

    fn start(&mut self, disk: &SimulatedDisk, dir: &Path) -> Option<Process> {
        let random = self.random.fork();
        let process = Process::start(disk, dir, random);
        if process.is_none() {
            disk.state().faults = Faults::default();
        }
        process
    }

    fn check(&mut self, moment: &Moment) -> Result<(), String> {
        for _ in 0..IMAGES_PER_MOMENT {
            let dir = self.folder();
            let crash = Crash::any(&mut self.random, moment.model.time);
            let told = format!("{crash:?}");
            let again = crash.clone();
            Image::of(&moment.model, crash).write(&dir).unwrap();
            if trace() {
                let copy = dir.with_extension("before");
                std::fs::create_dir(&copy).unwrap();
                Image::of(&moment.model, again).write(&copy).unwrap();
            }
            check(&dir, &moment.world, &mut self.random).map_err(|broken| {
                if trace() {
                    let _ = std::mem::replace(&mut self.scratch, folder_in_memory()).keep();
                }
                format!("{broken} ({}, {told})", dir.display())
            })?;
            std::fs::remove_dir_all(&dir).unwrap();
            self.images += 1;
        }
        Ok(())
    }
}
