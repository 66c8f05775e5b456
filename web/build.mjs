// Builds the page into src/avel/web/static.
//
//   node build.mjs           builds
//   node build.mjs --check   fails where the built files are not those of the sources
//   node build.mjs --tests   bundles the tests into build/, for node's own test runner
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "src", "avel", "web", "static");
const LICENCES = "licences.txt";

async function built() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: ["src/app.ts", "src/app.css"],
    outdir: "out",
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });
  const files = new Map(result.outputFiles.map((file) => [basename(file.path), Buffer.from(file.contents)]));
  files.set("index.html", await readFile(join(here, "src", "index.html")));
  files.set("icon.svg", await readFile(join(here, "src", "icon.svg")));
  files.set(LICENCES, Buffer.from(await licences(Object.keys(result.metafile.inputs))));
  return files;
}

/** The licence texts of every package that is bundled. */
async function licences(inputs) {
  const names = new Set(
    inputs.flatMap((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  const parts = [];
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} is bundled and has no licence file.`);
    parts.push(`${name} ${version} (${license})\n\n${await readFile(join(folder, file), "utf8")}`);
  }
  const head = "The page of avel serve is part of avel, Apache-2.0.\n";
  return parts.length === 0
    ? `${head}No code of others is bundled in it.\n`
    : `${head}Bundled in it:\n\n${parts.join("\n\n")}`;
}

async function write(files) {
  await mkdir(target, { recursive: true });
  for (const name of await readdir(target)) if (!files.has(name)) await rm(join(target, name), { recursive: true });
  for (const [name, contents] of files) {
    await writeFile(join(target, name), contents);
    console.log(`${name}  ${contents.length} bytes`);
  }
}

async function check(files) {
  const there = new Set(await readdir(target).catch(() => []));
  const wrong = [...there].filter((name) => !files.has(name));
  for (const [name, contents] of files) {
    if (!there.has(name) || !contents.equals(await readFile(join(target, name)))) wrong.push(name);
  }
  if (wrong.length > 0) {
    console.error(`Not built from the sources in web/: ${wrong.join(", ")}. Run make web and commit the files.`);
    process.exit(1);
  }
}

if (process.argv.includes("--tests")) {
  const tests = (await readdir(join(here, "test"))).filter((name) => name.endsWith(".test.ts"));
  await rm(join(here, "build"), { recursive: true, force: true });
  await build({
    absWorkingDir: here,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: "build",
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "warning",
  });
} else if (process.argv.includes("--check")) {
  await check(await built());
} else {
  await write(await built());
}
