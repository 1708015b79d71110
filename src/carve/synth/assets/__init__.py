"""Files of garments, skins, pictures and motions: read and checked."""
