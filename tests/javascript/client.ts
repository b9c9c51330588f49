// A program as somebody would write it who generated types from /openapi.json: it is compiled
// strictly, and run against a bundle. 用生成的类型编写的客户端示例。
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { argv: string[]; exit(code: number): never };

const [base, photo] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: base, headers: { Authorization: "Bearer any" } });
const wait = { params: { header: { Prefer: "wait=20" } } };

type Job = components["schemas"]["Job"];

async function facts(made: { data?: Job; error?: components["schemas"]["Problem"] }) {
  if (made.error) throw new Error(made.error.error.message);
  const job_id = made.data!.id;
  for (let looks = 0; looks < 100; looks += 1) {
    const job = await client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id } } });
    if (job.data?.finished_at) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const result = await client.GET("/api/v1/models/{job_id}/result", {
    params: { path: { job_id } },
  });
  if (result.error) throw new Error(result.error.error.message);
  const file = await fetch(result.data.link);
  const bytes = (await file.arrayBuffer()).byteLength;
  const kind: "text-to-3d" | string = made.data!.kind;
  return { kind, status: result.data.status, size: result.data.size, bytes };
}

const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
const told = [
  // Nothing but a prompt; the kind by its name, with options; a photo in JSON.
  await facts(await client.POST("/api/v1/models", { ...wait, body: { prompt: "a red chair" } })),
  await facts(
    await client.POST("/api/v1/jobs", {
      ...wait,
      body: { kind: "text-to-3d", prompt: "a cup", options: { texture_quality: "detailed" } },
    }),
  ),
  await facts(await client.POST("/api/v1/models", { ...wait, body: { image: photo } })),
  // A photo as a form's file.
  await facts(
    await client.POST("/api/v1/models", {
      ...wait,
      body: { image: new Blob([bytes], { type: "image/jpeg" }) as unknown as string, pbr: true },
      bodySerializer: (body) => {
        const form = new FormData();
        for (const [name, value] of Object.entries(body)) {
          form.append(name, value instanceof Blob ? value : String(value));
        }
        return form;
      },
    }),
  ),
];

// A prompt for a picture, where nobody makes pictures, is an error by its status and code.
const refused = await client.POST("/text-to-image", { body: { prompt: "a cup" } });
const problem = refused.error!.error;
console.log(JSON.stringify({ told, refused: [refused.response.status, problem.code] }));

// What does not fit is found by the compiler already.
// @ts-expect-error there is no such kind
const unknown: components["schemas"]["CreateJob"] = { kind: "text-to-4d", prompt: "a cup" };
// @ts-expect-error a model from words needs the words
const wordless: components["schemas"]["CreateTextTo3D"] = { kind: "text-to-3d" };
void [unknown, wordless];
