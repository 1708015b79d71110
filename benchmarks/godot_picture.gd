# Run by Godot 3 in a project that holds avatar.glb (benchmarks/program_pictures.py): shows it as imported and saves picture.png.
extends SceneTree


func _init():
	call_deferred("_take")


func _take():
	get_root().add_child(load("res://avatar.glb").instance())
	var surroundings = Environment.new()
	surroundings.background_mode = Environment.BG_COLOR
	surroundings.background_color = Color(0.875, 0.89, 0.91)
	surroundings.ambient_light_color = Color(0.8, 0.85, 0.9)
	surroundings.ambient_light_energy = 0.6
	var world = WorldEnvironment.new()
	world.environment = surroundings
	var sun = DirectionalLight.new()
	sun.shadow_enabled = true
	var ground = MeshInstance.new()
	ground.mesh = PlaneMesh.new()
	ground.mesh.size = Vector2(30, 30)
	var camera = Camera.new()
	camera.fov = 26
	for thing in [world, sun, ground, camera]:
		get_root().add_child(thing)
	sun.look_at_from_position(Vector3(1.5, 3, 2.5), Vector3(0, 0.9, 0), Vector3(0, 1, 0))
	camera.look_at_from_position(Vector3(1.1, 1.35, 4.6), Vector3(0, 0.92, 0), Vector3(0, 1, 0))
	camera.current = true
	for _frame in range(6):
		yield(self, "idle_frame")
	var picture = get_root().get_texture().get_data()
	picture.flip_y()
	picture.save_png("res://picture.png")
	quit()
