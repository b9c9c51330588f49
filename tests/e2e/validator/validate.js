// Validates the GLB files named on the command line; prints each one's report, one JSON a line.
// 逐个校验命令行给出的 GLB 文件，每行输出一份报告。
const fs = require("fs");
const path = require("path");

// Installed beside the working folder's node_modules, not beside this file.
const validator = require(require.resolve("gltf-validator", { paths: [process.cwd()] }));

(async () => {
  for (const file of process.argv.slice(2)) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), {
      uri: path.basename(file),
      format: "glb",
      maxIssues: 0,
    });
    console.log(JSON.stringify(report));
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
