# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Tools that reach out by themselves, and the switch that ends it: what to do about a hidden access of theirs.

A program is known by the name of its file, or by its last directory and that name. A version in it counts for nothing: `pip` is
`pip3.11`, too. Each fact is from the tool's own documentation, to which the link leads. The tools are in the order of their names.
"""

from __future__ import annotations

import functools
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import classes
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import FILES
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import commands

UPDATES, USAGE = 'asking for updates', 'sending usage data'
BOTH = f'{UPDATES} and {USAGE}'
# tool, its programs, the switch, what that keeps the tool from, where this is documented
TOOLS = (
    ('angular', 'ng ng.js', 'NG_CLI_ANALYTICS=false', USAGE,
     'https://github.com/angular/angular-cli/blob/main/docs/design/analytics.md'),
    ('astro', 'astro astro.mjs', 'ASTRO_TELEMETRY_DISABLED=1', USAGE,
     'https://github.com/withastro/astro/blob/main/packages/telemetry/README.md'),
    ('az', 'az azure.cli', 'AZURE_CORE_COLLECT_TELEMETRY=false', USAGE,
     'https://learn.microsoft.com/cli/azure/azure-cli-configuration'),
    ('brew', 'brew brew.rb brew.sh', 'HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ANALYTICS=1', f'updating itself and {USAGE}',
     'https://docs.brew.sh/Manpage'),
    ('bundler', 'bundle bundler', 'BUNDLE_DISABLE_VERSION_CHECK=true', UPDATES,
     'https://bundler.io/man/bundle-config.1.html'),
    ('cdk', 'cdk', '--no-notices', 'fetching notices',
     'https://github.com/aws/aws-cdk-cli/blob/main/packages/aws-cdk/README.md'),
    ('consul', 'consul', 'disable_update_check = true', UPDATES,
     'https://developer.hashicorp.com/consul/docs/agent/config/config-files'),
    ('cypress', 'cypress', 'CYPRESS_CRASH_REPORTS=0', 'reporting its exceptions',
     'https://docs.cypress.io/app/references/advanced-installation'),
    ('dbt', 'dbt', 'DBT_SEND_ANONYMOUS_USAGE_STATS=false', USAGE,
     'https://docs.getdbt.com/reference/global-configs/usage-stats'),
    ('deno', 'deno', 'DENO_NO_UPDATE_CHECK=1', UPDATES,
     'https://docs.deno.com/runtime/reference/env_variables/'),
    ('dotnet', 'dotnet dotnet.dll', 'DOTNET_CLI_TELEMETRY_OPTOUT=1', USAGE,
     'https://learn.microsoft.com/dotnet/core/tools/telemetry'),
    ('earthly', 'earthly', '`global: {disable_analytics: true}` in ~/.earthly/config.yml', USAGE,
     'https://github.com/earthly/earthly/blob/main/docs/data-collection/data-collection.md'),
    ('flyctl', 'fly flyctl', '`fly settings autoupdate disable`', 'updating itself',
     'https://fly.io/docs/flyctl/settings-autoupdate-disable/'),
    ('gatsby', 'gatsby', 'GATSBY_TELEMETRY_DISABLED=1', USAGE,
     'https://www.gatsbyjs.com/docs/telemetry/'),
    ('gh', 'gh', 'GH_NO_UPDATE_NOTIFIER=1', UPDATES,
     'https://cli.github.com/manual/gh_help_environment'),
    ('go', 'go', 'GOTOOLCHAIN=local', 'fetching another toolchain',
     'https://go.dev/doc/toolchain'),
    ('hf', 'hf huggingface-cli', 'HF_HUB_DISABLE_UPDATE_CHECK=1 HF_HUB_DISABLE_TELEMETRY=1', BOTH,
     'https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables'),
    ('infracost', 'infracost', 'INFRACOST_SKIP_UPDATE_CHECK=true', UPDATES,
     'https://www.infracost.io/docs/features/environment_variables/'),
    ('jf', 'jf jfrog', 'JFROG_CLI_AVOID_NEW_VERSION_WARNING=true', UPDATES,
     'https://github.com/jfrog/jfrog-cli/blob/master/docs/common/env.go'),
    ('k6', 'k6', 'K6_NO_USAGE_REPORT=true', USAGE,
     'https://grafana.com/docs/k6/latest/set-up/usage-collection/'),
    ('krew', 'krew kubectl-krew', 'KREW_NO_UPGRADE_CHECK=1', UPDATES,
     'https://github.com/kubernetes-sigs/krew/blob/master/site/content/docs/user-guide/setup/updates.md'),
    ('loki', 'loki', '-reporting.enabled=false', USAGE,
     'https://grafana.com/docs/loki/latest/configure/usage-statistics/'),
    ('meilisearch', 'meilisearch', 'MEILI_NO_ANALYTICS=true', USAGE,
     'https://www.meilisearch.com/docs/resources/help/telemetry'),
    ('meltano', 'meltano', 'MELTANO_SEND_ANONYMOUS_USAGE_STATS=false', USAGE,
     'https://docs.meltano.com/reference/settings/'),
    ('minikube', 'minikube', '`minikube config set WantUpdateNotification false`', UPDATES,
     'https://minikube.sigs.k8s.io/docs/commands/config/'),
    ('next', 'next telemetry/detached-flush.js', 'NEXT_TELEMETRY_DISABLED=1', USAGE,
     'https://nextjs.org/telemetry'),
    ('nomad', 'nomad', 'disable_update_check = true', UPDATES,
     'https://developer.hashicorp.com/nomad/docs/configuration'),
    ('npm', 'npm npm-cli.js npx npx-cli.js', 'npm_config_update_notifier=false', UPDATES,
     'https://docs.npmjs.com/cli/using-npm/config#update-notifier'),
    ('nuxt', 'nuxi nuxt', 'NUXT_TELEMETRY_DISABLED=1', USAGE,
     'https://github.com/nuxt/telemetry/blob/main/README.md'),
    ('packer', 'packer', 'CHECKPOINT_DISABLE=1', UPDATES,
     'https://developer.hashicorp.com/packer/docs/configure'),
    ('pdm', 'pdm', 'PDM_CHECK_UPDATE=false', UPDATES,
     'https://pdm-project.org/latest/usage/advanced/'),
    ('pip', 'pip pip/__main__.py', 'PIP_DISABLE_PIP_VERSION_CHECK=1', UPDATES,
     'https://pip.pypa.io/en/stable/cli/pip/'),
    ('pnpm', 'pnpm pnpm.cjs pnpx', '`updateNotifier: false` in pnpm-workspace.yaml', UPDATES,
     'https://pnpm.io/settings'),
    ('prefect', 'prefect', 'DO_NOT_TRACK=1', USAGE,
     'https://docs.prefect.io/v3/advanced/configure-network-access'),
    ('promptfoo', 'promptfoo', 'PROMPTFOO_DISABLE_UPDATE=1 PROMPTFOO_DISABLE_TELEMETRY=1', BOTH,
     'https://promptfoo.dev/docs/configuration/telemetry'),
    ('pulumi', 'pulumi', 'PULUMI_SKIP_UPDATE_CHECK=true', UPDATES,
     'https://www.pulumi.com/docs/iac/cli/environment-variables/'),
    ('pwsh', 'pwsh', 'POWERSHELL_UPDATECHECK=Off POWERSHELL_TELEMETRY_OPTOUT=1', BOTH,
     'https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_environment_variables'),
    ('rustup', 'rustup', '`rustup set auto-self-update disable`', 'updating itself',
     'https://rust-lang.github.io/rustup/basics.html'),
    ('sam', 'sam', 'SAM_CLI_TELEMETRY=0', USAGE,
     'https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-telemetry.html'),
    ('semgrep', 'osemgrep pysemgrep semgrep', 'SEMGREP_ENABLE_VERSION_CHECK=0', UPDATES,
     'https://semgrep.dev/docs/semgrep-ci/ci-environment-variables'),
    ('sentry-cli', 'sentry-cli', 'SENTRY_DISABLE_UPDATE_CHECK=true', UPDATES,
     'https://docs.sentry.io/cli/configuration/'),
    ('skaffold', 'skaffold', 'SKAFFOLD_UPDATE_CHECK=false', UPDATES,
     'https://skaffold.dev/docs/references/privacy/'),
    ('storybook', 'build-storybook start-storybook storybook', 'STORYBOOK_DISABLE_TELEMETRY=1', USAGE,
     'https://storybook.js.org/docs/configure/telemetry'),
    ('terraform', 'terraform', 'CHECKPOINT_DISABLE=1', UPDATES,
     'https://developer.hashicorp.com/terraform/cli/commands'),
    ('terramate', 'terramate', 'CHECKPOINT_DISABLE=1', UPDATES,
     'https://terramate.io/docs/cli/configuration/upgrade-check'),
    ('traefik', 'traefik', '--global.checkNewVersion=false', UPDATES,
     'https://doc.traefik.io/traefik/contributing/data-collection/'),
    ('trivy', 'trivy', '--skip-version-check --disable-telemetry', BOTH,
     'https://trivy.dev/docs/latest/guide/advanced/telemetry/'),
    ('turbo', 'turbo', 'TURBO_TELEMETRY_DISABLED=1', USAGE,
     'https://github.com/vercel/turborepo/blob/main/docs/site/content/docs/telemetry.mdx'),
    ('update-notifier', 'update-notifier/check.js', 'NO_UPDATE_NOTIFIER=1', UPDATES,
     'https://github.com/sindresorhus/update-notifier/blob/main/readme.md'),
    ('vagrant', 'vagrant', 'VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_BOX_UPDATE_CHECK_DISABLE=1', UPDATES,
     'https://developer.hashicorp.com/vagrant/docs/other/environmental-variables'),
    ('wrangler', 'wrangler wrangler.js', 'WRANGLER_SEND_METRICS=false', USAGE,
     'https://github.com/cloudflare/workers-sdk/blob/main/packages/wrangler/telemetry.md'),
    ('yarn', 'yarn yarn.cjs yarn.js', 'YARN_ENABLE_TELEMETRY=0', USAGE,
     'https://yarnpkg.com/advanced/telemetry'),
)
REMEDIES = {program: {'tool': tool, 'switch': switch, 'ends': ends, 'url': url}
            for tool, programs, switch, ends, url in TOOLS for program in programs.split()}
VERSION = re.compile(r'[-_]?\d[\d.]*(?=(\.[a-z]+)?\Z)')  # pip3.11, terraform_1.9.8, yarn-4.5.0.cjs
FETCHERS = ('curl', 'wget')  # which a tool that is a script has to start


def remedy_of(record):
    """{tool, switch, ends, url} of the tool that reached out by itself, or None.

    The nearest process that is a known tool counts, if what is below it is its own: a script that was installed, or a program
    that only fetches. What a tool runs for others is not: a text for a shell, `npm run`, a plugin.
    """
    if record.get('class') != classes.HIDDEN or record.get('kind') in FILES:
        return None
    for number, command in enumerate(commands(record)):
        remedy, goes_on = _look(command, number > 0)
        if not goes_on:
            return remedy
    return None


def effect(remedy):
    """What the switch does, behind its name."""
    return f'keeps {remedy["tool"]} from {remedy["ends"]}'


def told(remedy):
    return f'{remedy["switch"]} {effect(remedy)} ({remedy["url"]})'


@functools.lru_cache(maxsize=4096)  # many records are of the same commands
def _look(command, is_above):
    """(the remedy for a command, whether to look on above it)"""
    words = command.split()
    script = classes.script_of(words) if words else None
    for run in filter(None, (script, words)):
        remedy = _known(run[0])
        if remedy:
            return None if is_above and classes.is_told_to_run(run) else remedy, False
    if script:
        return None, classes.is_installed(script[0], words[0])
    return None, bool(words) and classes.program_of(words[0]) in FETCHERS


def _known(path):
    program = classes.program_of(path)
    names = (program, VERSION.sub('', program), '/'.join(path.split('/')[-2:]))
    return next((REMEDIES[name] for name in names if name in REMEDIES), None)
