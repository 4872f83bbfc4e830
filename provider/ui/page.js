// Lists functions through the same API as faas-cli; everything shown is text, never markup.
"use strict";

const byId = (id) => document.getElementById(id);

async function read(path) {
  const reply = await fetch(path, { credentials: "same-origin" });
  if (!reply.ok) {
    throw new Error(`${reply.status} ${(await reply.text()).trim()}`);
  }
  return reply.json();
}

function cell(row, text, kind) {
  const made = row.insertCell();
  made.textContent = text;
  if (kind) {
    made.className = kind;
  }
  return made;
}

function show(functions) {
  const body = byId("functions");
  body.replaceChildren();
  for (const one of functions) {
    const row = body.insertRow();
    const link = document.createElement("a");
    link.href = `../function/${encodeURIComponent(one.name)}.${encodeURIComponent(one.namespace)}`;
    link.textContent = one.name;
    cell(row, "").append(link);
    cell(row, one.image);
    cell(row, one.invocationCount ?? 0, "number");
    cell(row, `${one.availableReplicas ?? 0}/${one.replicas ?? 0}`, "number");
    cell(row, one.availableReplicas ? "ready" : one.replicas ? "not ready" : "asleep");
    cell(row, new Date(one.createdAt).toLocaleString());
  }
}

async function refresh() {
  byId("message").textContent = "";
  try {
    const namespace = byId("namespace").value;
    show(await read(`../system/functions?namespace=${encodeURIComponent(namespace)}`));
  } catch (error) {
    byId("message").textContent = error.message;
  }
}

async function start() {
  try {
    const [namespaces, info] = await Promise.all([read("../system/namespaces"), read("../system/info")]);
    byId("namespace").replaceChildren(...namespaces.map((name) => new Option(name, name)));
    byId("namespace").value = namespaces.includes("openfaas-fn") ? "openfaas-fn" : namespaces[0];
    byId("release").textContent = `${info.provider.orchestration} ${info.version.release}, ${info.arch}`;
  } catch (error) {
    byId("message").textContent = error.message;
    return;
  }
  await refresh();
}

byId("refresh").addEventListener("click", refresh);
byId("namespace").addEventListener("change", refresh);
start();
