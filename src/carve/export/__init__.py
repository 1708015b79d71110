"""The finished avatar as an asset of other programs: rest pose, skeletons, face shapes, levels of detail, file formats."""
