"use strict";

/*
 * What serverless.yml may say. The words are those of Tencent's own components (document 1154/43228),
 * the bounds those of "SCF quotas" (583/11637).
 *
 * serverless.yml 的校验规则。
 */

const text = { type: "string" };
const yes = { type: "boolean" };
/** A whole number; text from the environment that is one is taken for it by osls. */
const number = (minimum, maximum) => ({ type: "integer", minimum, maximum });
const object = (properties, required = []) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

/** What SCF takes: 64 megabytes, or 128 to 3072 in steps of 128. */
const memorySize = {
  anyOf: [{ const: 64 }, { type: "integer", minimum: 128, maximum: 3072, multipleOf: 128 }],
};

/** Second, minute, hour, day, month, weekday, year (583/9708); other clouds' have five or six. */
const cronExpression = {
  type: "string",
  pattern: "^[0-9A-Za-z*/,?LW#-]+( [0-9A-Za-z*/,?LW#-]+){6}$",
};

const common = {
  runtime: { enum: ["Python3.6", "Python3.7", "Python3.9", "Python3.10", "CustomImage"] },
  memorySize,
  timeout: number(1, 900),
  initTimeout: number(1, 300),
  namespace: text,
  role: text,
  environment: {
    type: "object",
    patternProperties: {
      // The platform's own begin with these.
      "^(?!SCF_|QCLOUD_|TENCENTCLOUD_)[A-Za-z][A-Za-z0-9_]*$": {
        anyOf: [{ type: "string" }, { type: "number" }, { type: "boolean" }],
      },
    },
    additionalProperties: false,
  },
  vpcConfig: object({ vpcId: text, subnetId: text }),
  cls: object({ logsetId: text, topicId: text }),
  layers: { type: "array", items: text, maxItems: 5 },
  retryNum: number(0, 2),
  msgTTL: number(60, 21600),
};

module.exports = {
  provider: {
    properties: { ...common, region: { type: "string", pattern: "^[a-z]+-[a-z0-9-]+$" } },
    required: ["region"],
  },
  layers: {
    type: "object",
    additionalProperties: object({ description: text }),
  },
  function: {
    properties: {
      ...common,
      description: text,
      handler: { type: "string", pattern: "^[A-Za-z]\\w*\\.[A-Za-z]\\w*$" },
      type: { enum: ["event", "web"] },
      image: object(
        {
          imageType: { enum: ["personal", "enterprise"] },
          imageUri: text,
          registryId: text,
          imagePort: number(-1, 65535),
          command: text,
          args: text,
        },
        ["imageUri"],
      ),
      nodeType: { const: "GPU" },
      nodeSpec: text,
      diskSize: number(512, 512000),
      instanceConcurrencyConfig: object({ maxConcurrency: number(1, 100) }),
    },
  },
  functionEvents: {
    timer: object({ name: text, cronExpression, argument: text, enable: yes }, ["cronExpression"]),
    cos: object(
      {
        bucket: { type: "string", pattern: "^[a-z0-9][a-z0-9-]*-[0-9]+$" },
        events: { type: "string", pattern: "^cos:Object(Created|Remove|Restore):" },
        filter: object({ prefix: text, suffix: text }),
        enable: yes,
      },
      ["bucket"],
    ),
    http: object({
      name: text,
      authType: { enum: ["NONE", "CAM"] },
      netConfig: object({ enableIntranet: yes, enableExtranet: yes }),
      enable: yes,
    }),
  },
};
