"use strict";(self.rspackChunksbf_lab=self.rspackChunksbf_lab||[]).push([["style_index_js"],{"./node_modules/css-loader/dist/cjs.js!./style/index.css"(o,e,r){var t=r("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),s=r.n(t),n=r("./node_modules/css-loader/dist/runtime/api.js"),i=r.n(n),a=r("./node_modules/css-loader/dist/cjs.js!./style/parts.css"),d=r("./node_modules/css-loader/dist/cjs.js!./style/sidebar.css"),l=r("./node_modules/css-loader/dist/cjs.js!./style/viewer.css"),p=i()(s());p.i(a.A),p.i(d.A),p.i(l.A),p.push([o.id,`
`,""]),r.d(e,{},{A:p})},"./node_modules/css-loader/dist/cjs.js!./style/parts.css"(o,e,r){var t=r("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),s=r.n(t),n=r("./node_modules/css-loader/dist/runtime/api.js"),i=(r.n(n))()(s());i.push([o.id,`/* Parts that every panel uses. Colours come from the theme. */

.sbf-Icon,
.sbf-IconButton > span,
.sbf-Empty-icon {
  display: inline-flex;
  flex: none;
}

.sbf-Icon svg,
.sbf-IconButton svg {
  width: 16px;
  height: 16px;
}

/* Outlines, not faces: the theme fills icons. */
.sbf-stroke,
.sbf-stroke * {
  fill: none !important;
}

svg:has(> .sbf-stroke) {
  fill: none !important;
  stroke: var(--jp-inverse-layout-color3);
}

.sbf-IconButton {
  display: inline-flex;
  flex: none;
  align-items: center;
  justify-content: center;
  width: 26px;
  height: 26px;
  padding: 0;
  border: 0;
  border-radius: 4px;
  background: transparent;
  cursor: pointer;
}

.sbf-IconButton[hidden] {
  display: none;
}

.sbf-IconButton:disabled {
  opacity: 0.4;
  cursor: default;
}

.sbf-IconButton[aria-pressed='true'] {
  background: var(--jp-layout-color3);
}

.sbf-IconButton:hover {
  background: var(--jp-layout-color2);
}

.sbf-IconButton.sbf-mod-accent svg {
  stroke: var(--jp-brand-color1);
}

.sbf-Button {
  padding: 5px 12px;
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font: inherit;
  cursor: pointer;
}

.sbf-Button:hover {
  background: var(--jp-layout-color2);
}

.sbf-Button.sbf-mod-accept {
  border-color: transparent;
  background: var(--jp-brand-color1);
  color: var(--jp-ui-inverse-font-color1);
}

.sbf-Button.sbf-mod-accept:hover {
  background: var(--jp-brand-color0);
}

.sbf-Input,
.sbf-Select {
  box-sizing: border-box;
  flex: 1 1 auto;
  min-width: 0;
  width: 100%;
  min-height: 28px;
  padding: 3px 8px;
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  background: var(--jp-layout-color0);
  color: var(--jp-ui-font-color1);
  font: inherit;
}

.sbf-Select {
  padding-right: 22px;
  overflow: hidden;
  text-overflow: ellipsis;
}

.sbf-Input::placeholder {
  color: var(--jp-ui-font-color2);
  opacity: 1;
}

.sbf-Sidebar :focus-visible,
.sbf-Viewer :focus-visible,
.sbf-JobList :focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -1px;
}

.sbf-Faint {
  color: var(--jp-ui-font-color2);
}

.sbf-Name {
  flex: 1 1 0;
  min-width: 0;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.sbf-RowActions {
  display: inline-flex;
  flex: none;
}

.sbf-Problem {
  box-sizing: border-box;
  margin: 8px;
  padding: 8px 12px;
  border-left: 3px solid var(--jp-error-color1);
  border-radius: 2px;
  background: var(--jp-layout-color2);
  overflow-wrap: anywhere;
  user-select: text;
}

.sbf-Problem p {
  margin: 0 0 6px;
}

.sbf-Problem p::first-letter {
  text-transform: uppercase;
}

.sbf-Problem-hint {
  color: var(--jp-ui-font-color2);
}

.sbf-Empty {
  display: flex;
  flex-direction: column;
  align-items: center;
  justify-content: center;
  gap: 10px;
  padding: 32px 20px;
  color: var(--jp-ui-font-color1);
  line-height: 1.45;
  text-align: center;
}

.sbf-Empty p {
  max-width: 30em;
  margin: 0;
}

.sbf-Empty-icon svg {
  width: 40px;
  height: 40px;
  stroke-width: 0.7;
  stroke: var(--jp-brand-color1) !important;
}

.sbf-Spinner {
  display: inline-block;
  width: 12px;
  height: 12px;
  margin-right: 6px;
  border: 2px solid var(--jp-border-color1);
  border-top-color: var(--jp-brand-color1);
  border-radius: 50%;
  animation: sbf-turn 0.8s linear infinite;
}

.sbf-mod-turning svg,
.sbf-is-processing .sbf-Status svg {
  animation: sbf-turn 1.2s linear infinite;
}

@keyframes sbf-turn {
  to {
    transform: rotate(360deg);
  }
}

@media (prefers-reduced-motion: reduce) {
  .sbf-Spinner,
  .sbf-mod-turning svg,
  .sbf-is-processing .sbf-Status svg {
    animation-duration: 6s;
  }
}

.sbf-TextBody {
  display: flex;
  flex-direction: column;
  gap: 8px;
  width: min(520px, 80vw);
}

.sbf-TextBody .sbf-Problem {
  margin: 0;
}

.sbf-Paste {
  box-sizing: border-box;
  width: 100%;
  padding: 8px;
  resize: vertical;
}

.sbf-Jobs {
  display: flex;
  align-items: center;
}

.sbf-JobsLabel {
  display: inline-flex;
  align-items: center;
  gap: 5px;
  height: 100%;
  padding: 0 6px;
  border: 0;
  background: transparent;
  color: var(--jp-ui-font-color1);
  font: inherit;
  cursor: pointer;
}

.sbf-Jobs.jp-mod-selected .sbf-JobsLabel svg {
  stroke: currentcolor;
}

.sbf-JobList {
  min-width: 280px;
  max-width: 420px;
  max-height: 50vh;
  padding: 6px 0;
  overflow: auto;
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
}
`,""]),r.d(e,{},{A:i})},"./node_modules/css-loader/dist/cjs.js!./style/sidebar.css"(o,e,r){var t=r("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),s=r.n(t),n=r("./node_modules/css-loader/dist/runtime/api.js"),i=(r.n(n))()(s());i.push([o.id,`/* The panel at the left. */

.sbf-Sidebar {
  display: flex;
  flex-direction: column;
  min-width: 220px;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size1);
}

.sbf-Sidebar.sbf-mod-drop::before {
  content: '';
  position: absolute;
  z-index: 10;
  inset: 2px;
  border: 2px dashed var(--jp-brand-color1);
  border-radius: 6px;
  pointer-events: none;
}

.sbf-Sidebar.sbf-mod-drop::after {
  content: attr(data-drop);
  position: absolute;
  z-index: 10;
  right: 4px;
  bottom: 4px;
  left: 4px;
  padding: 12px;
  border-radius: 0 0 4px 4px;
  background: var(--jp-brand-color1);
  color: var(--jp-ui-inverse-font-color1);
  font-weight: 600;
  overflow-wrap: anywhere;
  text-align: center;
  pointer-events: none;
}

.sbf-mod-drop .sbf-Notebook.sbf-mod-target {
  background: color-mix(in srgb, var(--jp-brand-color1) 22%, transparent);
}

.sbf-Sidebar.sbf-mod-blocked > :not(.sbf-Notice) {
  display: none;
}

.sbf-Tabs {
  display: flex;
  flex: none;
  gap: 2px;
  padding: 4px 8px 0;
  border-bottom: 1px solid var(--jp-border-color2);
}

.sbf-Tab {
  flex: 1;
  padding: 6px 4px 7px;
  border: 0;
  border-bottom: 2px solid transparent;
  background: transparent;
  color: var(--jp-ui-font-color2);
  font: inherit;
  cursor: pointer;
}

.sbf-Tab:hover {
  color: var(--jp-ui-font-color1);
}

.sbf-Tab[aria-selected='true'] {
  border-bottom-color: var(--jp-brand-color1);
  color: var(--jp-ui-font-color1);
  font-weight: 600;
}

.sbf-Library,
.sbf-Search,
.sbf-Chat {
  display: flex;
  flex: 1 1 0;
  flex-direction: column;
  min-height: 0;
}

.sbf-Library.lm-mod-hidden,
.sbf-Search.lm-mod-hidden,
.sbf-Chat.lm-mod-hidden {
  display: none !important;
}

.sbf-Bar {
  display: flex;
  flex: none;
  align-items: center;
  gap: 4px;
  margin: 0;
  padding: 8px 8px 0;
}

/* Library */

.sbf-Tree {
  flex: 1 1 0;
  margin-top: 8px;
  padding-bottom: 12px;
  overflow: auto;
}

.sbf-Row {
  position: relative;
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  column-gap: 6px;
  min-height: 28px;
  padding: 0 8px;
  cursor: default;
}

.sbf-Source {
  padding-left: 28px;
  contain-intrinsic-size: auto 28px;
  content-visibility: auto;
}

.sbf-Source.sbf-is-failed {
  padding-top: 5px;
}

.sbf-mod-note {
  padding-left: 28px;
}

.sbf-Notebook:hover,
.sbf-Source:hover {
  background: var(--jp-layout-color2);
}

.sbf-Notebook {
  font-weight: 600;
}

.sbf-Notebook.sbf-mod-current {
  box-shadow: inset 3px 0 var(--jp-brand-color1);
}

.sbf-Twist {
  flex: none;
  width: 0;
  height: 0;
  border: 4px solid transparent;
  border-left-color: var(--jp-ui-font-color2);
  transform: translateX(2px);
}

.sbf-Notebook[aria-expanded='true'] > .sbf-Twist {
  transform: translateY(2px) rotate(90deg);
}

.sbf-Count,
.sbf-Owner {
  flex: none;
  color: var(--jp-ui-font-color2);
  font-size: var(--jp-ui-font-size0);
  font-weight: normal;
}

.sbf-Stage {
  flex: none;
  font-size: var(--jp-ui-font-size0);
}

.sbf-is-ready .sbf-Status svg {
  stroke: var(--jp-success-color1);
}

.sbf-is-processing .sbf-Status svg {
  stroke: var(--jp-brand-color1);
}

.sbf-is-failed .sbf-Status svg {
  stroke: var(--jp-error-color1);
}

.sbf-Source > .sbf-RowActions {
  display: none;
}

.sbf-Source:hover > .sbf-RowActions,
.sbf-Source:focus > .sbf-RowActions,
.sbf-Source:focus-within > .sbf-RowActions {
  display: inline-flex;
}

.sbf-Reason {
  box-sizing: border-box;
  flex: 1 0 100%;
  padding: 2px 0 6px 22px;
  color: var(--jp-error-color0);
  font-size: var(--jp-ui-font-size0);
  line-height: 1.35;
  overflow-wrap: anywhere;
}

[data-jp-theme-light='false'] .sbf-Reason {
  color: var(--jp-error-color3);
}

.sbf-Progress {
  position: absolute;
  right: 8px;
  bottom: 1px;
  left: 50px;
  width: auto;
  height: 3px;
  border: 0;
  border-radius: 2px;
  background: var(--jp-layout-color3);
  appearance: none;
  accent-color: var(--jp-brand-color1);
}

.sbf-Progress::-webkit-progress-bar {
  border-radius: 2px;
  background: var(--jp-layout-color3);
}

.sbf-Progress::-webkit-progress-value {
  border-radius: 2px;
  background: var(--jp-brand-color1);
}

.sbf-Progress::-moz-progress-bar {
  border-radius: 2px;
  background: var(--jp-brand-color1);
}

/* Search */

.sbf-SearchStatus {
  min-height: 18px;
  padding: 6px 10px 4px;
  font-size: var(--jp-ui-font-size0);
}

.sbf-Hits {
  flex: 1 1 0;
  overflow: auto;
  border-top: 1px solid var(--jp-border-color2);
}

.sbf-Hit {
  padding: 8px 10px;
  border-bottom: 1px solid var(--jp-border-color2);
  cursor: pointer;
}

.sbf-Hit:hover {
  background: var(--jp-layout-color2);
}

.sbf-Hit-head {
  display: flex;
  align-items: center;
  gap: 6px;
  min-height: 26px;
  font-weight: 600;
}

.sbf-Hit-rank {
  flex: none;
  min-width: 18px;
  height: 18px;
  border-radius: 9px;
  background: var(--jp-layout-color3);
  font-size: var(--jp-ui-font-size0);
  font-weight: normal;
  line-height: 18px;
  text-align: center;
}

.sbf-Hit .sbf-RowActions {
  opacity: 0.45;
}

.sbf-Hit:hover .sbf-RowActions,
.sbf-Hit:focus-within .sbf-RowActions {
  opacity: 1;
}

.sbf-Snippet {
  margin: 2px 0 4px;
  line-height: 1.45;
  overflow-wrap: anywhere;
}

.sbf-Snippet mark,
.sbf-Text mark {
  border-radius: 2px;
  background: color-mix(in srgb, var(--jp-warn-color1) 38%, transparent);
  color: inherit;
}

.sbf-Text mark.sbf-mod-passage {
  background: color-mix(in srgb, var(--jp-warn-color1) 14%, transparent);
}

.sbf-Hit-foot {
  display: flex;
  justify-content: space-between;
  gap: 8px;
  font-size: var(--jp-ui-font-size0);
}

/* Chat */

.sbf-Levels {
  flex: none;
  margin-top: 6px;
  border-top: 1px solid var(--jp-border-color2);
}

.sbf-Disclosure {
  display: flex;
  align-items: center;
  gap: 6px;
  width: 100%;
  min-height: 28px;
  padding: 0 8px;
  border: 0;
  background: transparent;
  color: var(--jp-ui-font-color1);
  font: inherit;
  text-align: left;
  cursor: pointer;
}

.sbf-Disclosure:hover {
  background: var(--jp-layout-color2);
}

.sbf-Disclosure[aria-expanded='true'] > .sbf-Twist {
  transform: translateY(2px) rotate(90deg);
}

.sbf-Levels-body {
  padding: 0 8px 6px;
}

.sbf-Levels-body[hidden] {
  display: none;
}

.sbf-Budget {
  padding: 2px 4px 6px;
  color: var(--jp-ui-font-color2);
  font-size: var(--jp-ui-font-size0);
  line-height: 1.4;
  overflow-wrap: anywhere;
}

.sbf-Meter {
  display: block;
  width: 100%;
  height: 4px;
  margin-bottom: 4px;
  border: 0;
  border-radius: 2px;
  background: var(--jp-layout-color3);
  appearance: none;
}

.sbf-Meter::-webkit-progress-bar {
  border-radius: 2px;
  background: var(--jp-layout-color3);
}

.sbf-Meter::-webkit-progress-value {
  border-radius: 2px;
  background: var(--jp-brand-color1);
}

.sbf-Meter::-moz-progress-bar {
  border-radius: 2px;
  background: var(--jp-brand-color1);
}

.sbf-LevelList {
  max-height: 30vh;
  overflow: auto;
}

.sbf-Level {
  display: flex;
  align-items: center;
  gap: 6px;
  padding: 1px 2px 1px 4px;
}

.sbf-Level .sbf-Select {
  flex: none;
  width: auto;
  min-height: 26px;
}

.sbf-Log {
  flex: 1 1 0;
  padding: 4px 10px 12px;
  overflow: auto;
  border-top: 1px solid var(--jp-border-color2);
}

.sbf-Message {
  margin-top: 10px;
  line-height: 1.5;
  overflow-wrap: anywhere;
  user-select: text;
}

.sbf-Message.sbf-is-user {
  width: fit-content;
  max-width: 88%;
  margin-left: auto;
  padding: 6px 10px;
  border-radius: 10px 10px 2px;
  background: var(--jp-layout-color2);
  white-space: pre-wrap;
}

.sbf-Words > :first-child {
  margin-top: 0;
}

.sbf-Words p {
  margin: 0 0 8px;
  white-space: pre-line;
}

.sbf-Words ul,
.sbf-Words ol {
  margin: 0 0 8px;
  padding-left: 20px;
}

.sbf-Words blockquote {
  margin: 0 0 8px;
  padding-left: 10px;
  border-left: 3px solid var(--jp-border-color1);
  color: var(--jp-ui-font-color1);
}

.sbf-Heading {
  font-weight: 600;
}

.sbf-Words code {
  padding: 0 3px;
  border-radius: 3px;
  background: var(--jp-layout-color2);
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
}

.sbf-Code {
  padding: 8px;
  overflow: auto;
  border-radius: 4px;
  background: var(--jp-layout-color2);
}

.sbf-is-writing > .sbf-Words > p:last-child::after,
.sbf-is-writing > .sbf-Words > :is(ul, ol):last-child > :last-child::after {
  content: '';
  display: inline-block;
  margin-left: 4px;
  width: 7px;
  height: 7px;
  border-radius: 50%;
  background: var(--jp-brand-color1);
}

.sbf-Together {
  white-space: nowrap;
}

.sbf-Words button.sbf-Marker {
  min-width: 18px;
  height: 18px;
  margin: 0 1px;
  padding: 0 5px;
  border: 1px solid transparent;
  border-radius: 9px;
  background: color-mix(in srgb, var(--jp-brand-color1) 18%, transparent);
  color: var(--jp-ui-font-color1);
  font-family: var(--jp-ui-font-family);
  font-size: var(--jp-ui-font-size0);
  line-height: 15px;
  vertical-align: 1px;
  cursor: pointer;
}

.sbf-Words button.sbf-Marker:hover {
  border-color: var(--jp-brand-color1);
}

.sbf-Words button.sbf-Marker.sbf-mod-unverified {
  border: 1px dashed var(--jp-error-color1);
  background: transparent;
}

.sbf-Marker.sbf-mod-unverified::after {
  content: ' ?';
}

.sbf-Message-foot {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 2px;
}

.sbf-Message-foot:empty {
  display: none;
}

.sbf-Message-foot .sbf-Problem {
  flex: 1 0 100%;
  margin: 0 0 6px;
}

.sbf-Composer {
  display: flex;
  flex: none;
  align-items: flex-end;
  gap: 4px;
  padding: 8px;
  border-top: 1px solid var(--jp-border-color2);
}

.sbf-Composer .sbf-Input {
  min-height: 52px;
  max-height: 40vh;
  resize: vertical;
  field-sizing: content;
  line-height: 1.4;
}
`,""]),r.d(e,{},{A:i})},"./node_modules/css-loader/dist/cjs.js!./style/viewer.css"(o,e,r){var t=r("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),s=r.n(t),n=r("./node_modules/css-loader/dist/runtime/api.js"),i=(r.n(n))()(s());i.push([o.id,`/* The tab with the text of a source. */

.sbf-Viewer {
  container-type: inline-size;
  display: flex;
  flex-direction: column;
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.sbf-Viewer-head {
  display: flex;
  flex: none;
  align-items: center;
  gap: 12px;
  min-height: 30px;
  padding: 2px 16px;
  border-bottom: 1px solid var(--jp-border-color2);
  font-size: var(--jp-ui-font-size1);
}

.sbf-Viewer-head .sbf-Name {
  flex: 0 1 auto;
}

.sbf-Viewer-head .sbf-RowActions {
  margin-left: auto;
}

.sbf-Viewer-body {
  display: flex;
  flex: 1 1 0;
  min-height: 0;
}

.sbf-Page {
  flex: 0 1 40%;
  min-width: 0;
  padding: 8px 12px 12px;
  overflow: auto;
  border-left: 1px solid var(--jp-border-color2);
  background: var(--jp-layout-color2);
}

.sbf-Page[hidden] {
  display: none;
}

.sbf-Page-bar {
  display: flex;
  align-items: center;
  justify-content: center;
  gap: 4px;
  padding-bottom: 8px;
  font-size: var(--jp-ui-font-size1);
}

.sbf-Page-bar .sbf-Input {
  flex: none;
  width: 64px;
}

.sbf-Page-picture {
  max-width: 720px;
  min-height: 120px;
  margin: 0 auto;
}

.sbf-Page-picture:empty {
  aspect-ratio: 1 / 1.414;
  background: var(--jp-layout-color1);
}

.sbf-Page-picture[aria-busy] img {
  opacity: 0.5;
}

.sbf-Page-picture img {
  display: block;
  width: 100%;
  height: auto;
  box-shadow: 0 0 0 1px var(--jp-border-color1);
  background: white;
}

@container (max-width: 700px) {
  .sbf-Viewer-body {
    flex-direction: column-reverse;
  }

  .sbf-Page {
    flex: 0 0 38%;
    border-left: 0;
    border-bottom: 1px solid var(--jp-border-color2);
  }
}

.sbf-Text {
  box-sizing: border-box;
  flex: 1 1 0;
  min-width: 0;
  padding: 20px 24px 40vh;
  overflow: auto;
  font-family: var(--jp-content-font-family);
  font-size: var(--jp-content-font-size1);
  line-height: 1.6;
  overflow-wrap: anywhere;
  user-select: text;
  white-space: pre-wrap;
}

.sbf-Text > * {
  max-width: 48em;
  margin-inline: auto;
}

.sbf-Text .sbf-Problem {
  white-space: normal;
}

.sbf-Block {
  contain-intrinsic-size: auto 1200px;
  content-visibility: auto;
}

.sbf-Text mark.sbf-Cited {
  padding: 2px 0;
  box-decoration-break: clone;
  -webkit-box-decoration-break: clone;
}
`,""]),r.d(e,{},{A:i})},"./node_modules/css-loader/dist/runtime/api.js"(o){o.exports=function(o){var e=[];return e.toString=function(){return this.map(function(e){var r="",t=void 0!==e[5];return e[4]&&(r+="@supports (".concat(e[4],") {")),e[2]&&(r+="@media ".concat(e[2]," {")),t&&(r+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),r+=o(e),t&&(r+="}"),e[2]&&(r+="}"),e[4]&&(r+="}"),r}).join("")},e.i=function(o,r,t,s,n){"string"==typeof o&&(o=[[null,o,void 0]]);var i={};if(t)for(var a=0;a<this.length;a++){var d=this[a][0];null!=d&&(i[d]=!0)}for(var l=0;l<o.length;l++){var p=[].concat(o[l]);t&&i[p[0]]||(void 0!==n&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=n),r&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=r),s&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=s):p[4]="".concat(s)),e.push(p))}},e}},"./node_modules/css-loader/dist/runtime/noSourceMaps.js"(o){o.exports=function(o){return o[1]}},"./node_modules/style-loader/dist/runtime/injectStylesIntoStyleTag.js"(o){var e=[];function r(o){for(var r=-1,t=0;t<e.length;t++)if(e[t].identifier===o){r=t;break}return r}function t(o,t){for(var s={},n=[],i=0;i<o.length;i++){var a=o[i],d=t.base?a[0]+t.base:a[0],l=s[d]||0,p="".concat(d," ").concat(l);s[d]=l+1;var f=r(p),c={css:a[1],media:a[2],sourceMap:a[3],supports:a[4],layer:a[5]};if(-1!==f)e[f].references++,e[f].updater(c);else{var b=function(o,e){var r=e.domAPI(e);return r.update(o),function(e){e?(e.css!==o.css||e.media!==o.media||e.sourceMap!==o.sourceMap||e.supports!==o.supports||e.layer!==o.layer)&&r.update(o=e):r.remove()}}(c,t);t.byIndex=i,e.splice(i,0,{identifier:p,updater:b,references:1})}n.push(p)}return n}o.exports=function(o,s){var n=t(o=o||[],s=s||{});return function(o){o=o||[];for(var i=0;i<n.length;i++){var a=r(n[i]);e[a].references--}for(var d=t(o,s),l=0;l<n.length;l++){var p=r(n[l]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}n=d}}},"./node_modules/style-loader/dist/runtime/insertBySelector.js"(o){var e={};o.exports=function(o,r){var t=function(o){if(void 0===e[o]){var r=document.querySelector(o);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(o){r=null}e[o]=r}return e[o]}(o);if(!t)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");t.appendChild(r)}},"./node_modules/style-loader/dist/runtime/insertStyleElement.js"(o){o.exports=function(o){var e=document.createElement("style");return o.setAttributes(e,o.attributes),o.insert(e,o.options),e}},"./node_modules/style-loader/dist/runtime/setAttributesWithoutAttributes.js"(o,e,r){o.exports=function(o){var e=r.nc;e&&o.setAttribute("nonce",e)}},"./node_modules/style-loader/dist/runtime/styleDomAPI.js"(o){o.exports=function(o){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=o.insertStyleElement(o);return{update:function(r){var t,s,n;t="",r.supports&&(t+="@supports (".concat(r.supports,") {")),r.media&&(t+="@media ".concat(r.media," {")),(s=void 0!==r.layer)&&(t+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),t+=r.css,s&&(t+="}"),r.media&&(t+="}"),r.supports&&(t+="}"),(n=r.sourceMap)&&"u">typeof btoa&&(t+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),o.styleTagTransform(t,e,o.options)},remove:function(){var o;null===(o=e).parentNode||o.parentNode.removeChild(o)}}}},"./node_modules/style-loader/dist/runtime/styleTagTransform.js"(o){o.exports=function(o,e){if(e.styleSheet)e.styleSheet.cssText=o;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(o))}}},"./style/index.js"(o,e,r){var t=r("./node_modules/style-loader/dist/runtime/injectStylesIntoStyleTag.js"),s=r.n(t),n=r("./node_modules/style-loader/dist/runtime/styleDomAPI.js"),i=r.n(n),a=r("./node_modules/style-loader/dist/runtime/insertBySelector.js"),d=r.n(a),l=r("./node_modules/style-loader/dist/runtime/setAttributesWithoutAttributes.js"),p=r.n(l),f=r("./node_modules/style-loader/dist/runtime/insertStyleElement.js"),c=r.n(f),b=r("./node_modules/style-loader/dist/runtime/styleTagTransform.js"),u=r.n(b),x=r("./node_modules/css-loader/dist/cjs.js!./style/index.css"),g={};g.styleTagTransform=u(),g.setAttributes=p(),g.insert=d().bind(null,"head"),g.domAPI=i(),g.insertStyleElement=c(),s()(x.A,g),x.A&&x.A.locals&&x.A.locals}}]);