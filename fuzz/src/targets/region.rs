//! A region's header.

use super::input::Input;
use super::scene::{File, Scene};
use super::{Target, fair};
use axonic::{Create, Noun, RegionOptions};

pub struct Regions {
    scene: Scene,
    file: File,
}

impl Regions {
    pub fn new() -> Regions {
        let scene = Scene::new();
        let options = RegionOptions { size: Some(5000), ..Default::default() };
        drop(scene.domain.region("m", &options).unwrap());
        let file = scene.files("regions").remove(0);
        Regions { scene, file }
    }
}

impl Target for Regions {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        self.scene.damage(&self.file, &mut input);
        let options = RegionOptions { size: None, create: Create::Open };
        if let Some(region) = fair(self.scene.domain.region("m", &options)) {
            let mut bytes = vec![0; region.len()];
            region.read(0, &mut bytes).unwrap();
            region.write(0, &bytes).unwrap();
            region.read(1, &mut bytes).unwrap_err();
        }
        self.scene.look();
        if choice & 1 != 0 {
            fair(self.scene.domain.unlink(Noun::Region, "m"));
        }
    }
}
