"use strict";

/*
 * osls' provider for Tencent Cloud: it checks serverless.yml by a schema, and has Python do the
 * work: infra.tencent.build packs, infra.tencent.deploy deploys, removes, invokes and reads logs.
 *
 * 让 osls 支持腾讯云的插件：校验配置，其余交给 Python。
 */

const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const schema = require("./schema");

const NAME = "tencent";
const ROOT = path.resolve(__dirname, "../../..");
const PACK = ["-s", "-m", "infra.tencent.build.pack"];
/** Python 3.10 is SCF's own: it makes the bytecode. Any newer one with pip will do besides. */
const PYTHONS = [process.env.PYTHON, "python3.10", "python3", "python"];
const SUITS = "import sys, pip; sys.exit(sys.version_info < (3, 10))";
const RESOLVED = "service.json";
const MINUTES = { m: 1, h: 60, d: 24 * 60 };

class TencentProvider {
  static getProviderName() {
    return NAME;
  }

  constructor(serverless, options) {
    this.serverless = serverless;
    this.options = options;
    serverless.setProvider(NAME, this);
    serverless.configSchemaHandler.defineProvider(NAME, schema);
    this.hooks = {
      initialize: () => {
        this.options = serverless.processedInput.options;
      },
      "before:package:createDeploymentArtifacts": () => this.pack(),
      "deploy:deploy": () => this.deploy(),
      "remove:remove": () => this.python("remove", "--yes"),
      "invoke:invoke": () => this.invoke(),
      "logs:logs": () => this.logs(),
    };
  }

  /** Where the zips lie: `<function>.zip` and `layer-<layer>.zip`. */
  get folder() {
    const own = this.options.package || this.serverless.service.package.path || ".serverless";
    return path.resolve(this.serverless.serviceDir, own);
  }

  /** Pack everything, and tell osls so: what has an artifact it does not pack itself. */
  async pack() {
    const { functions, layers } = this.serverless.configurationInput;
    const command = [...PACK, "--into", this.folder];
    await run(pythonThatPacks(), command, JSON.stringify(functions));
    for (const [name, one] of Object.entries(functions)) {
      if (!one.image) one.package = { artifact: path.join(this.folder, `${name}.zip`) };
    }
    for (const [name, one] of Object.entries(layers || {})) {
      one.package = { artifact: path.join(this.folder, `layer-${name}.zip`) };
    }
  }

  async deploy() {
    await this.python("deploy", "--yes", "--built", this.folder);
  }

  async invoke() {
    const { function: name, data, path: file, type } = this.options;
    const event = file ? fs.readFileSync(path.resolve(file), "utf8") : data || "{}";
    const more = type === "Event" ? ["--no-wait"] : [];
    await this.python("invoke", "--function", name, "--data", event, ...more);
  }

  async logs() {
    const { function: name, filter, startTime, tail } = this.options;
    if (tail) this.fail("--tail is not known here: ask again, with --startTime 1m say");
    const more = filter ? ["--filter", filter] : [];
    if (startTime) more.push("--minutes", String(this.minutes(startTime)));
    await this.python("logs", "--function", name, ...more);
  }

  minutes(text) {
    const match = /^([0-9]+)([mhd])$/.exec(text);
    if (!match) this.fail(`--startTime ${text}: write it as 30m, 2h or 1d`);
    return Number(match[1]) * MINUTES[match[2]];
  }

  /** Run one of the deployer's commands on the service as osls has resolved it. */
  async python(command, ...more) {
    const service = path.join(this.folder, RESOLVED);
    fs.mkdirSync(this.folder, { recursive: true });
    fs.writeFileSync(service, JSON.stringify(this.serverless.configurationInput, null, 2));
    const { stage, region } = this.serverless.service.provider;
    const given = ["--stage", stage, "--region", region, "--resolved", service];
    await run(path.join(ROOT, "scripts", "deploy"), [NAME, command, ...given, ...more]);
  }

  fail(message) {
    throw new this.serverless.classes.Error(message);
  }
}

/** The first Python that can pack. */
function pythonThatPacks() {
  const found = PYTHONS.filter(Boolean).find(
    (python) => spawnSync(python, ["-I", "-c", SUITS]).status === 0,
  );
  if (!found) throw new Error("packing needs Python 3.10 or newer, with pip; PYTHON may name it");
  return found;
}

/** Run a program in the checkout; what it prints is seen at once, and its failure is ours. */
function run(program, words, input) {
  return new Promise((resolve, reject) => {
    const stdio = [input === undefined ? "inherit" : "pipe", "inherit", "inherit"];
    const child = spawn(program, words, { cwd: ROOT, stdio });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (status === 0) resolve();
      else reject(new Error(`${path.basename(program)} ended with ${signal || status}; see above`));
    });
    if (input !== undefined) child.stdin.end(input);
  });
}

module.exports = TencentProvider;
