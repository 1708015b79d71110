// Prints the Khronos validator's report of the GLB files named on the command line: a JSON object, file name -> report.
import { readFileSync } from "node:fs";
import validator from "gltf-validator";

const reports = {};
for (const file of process.argv.slice(2)) {
  reports[file] = await validator.validateBytes(new Uint8Array(readFileSync(file)), { uri: file, maxIssues: 100 });
}
process.stdout.write(JSON.stringify(reports, null, 2) + "\n");
