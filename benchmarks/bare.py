"""The least a page can cost with the same parts: FastAPI, one Jinja template, no middleware, no catalog."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment

PAGE = Environment(autoescape=True).from_string("<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1>")

app = FastAPI(openapi_url=None)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    return PAGE.render(title="Nothing")
