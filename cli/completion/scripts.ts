import { allCommands, type CompletedCommand } from './tree.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that makes a shell complete the program's commands, flags and their choices, and files elsewhere. */
export function completionScript(shell: Shell, root: CompletedCommand): string {
  return shell === 'fish' ? fish(root) : shell === 'zsh' ? zsh(root) : bash(root);
}

/**
 * The words so far are followed from command to command; a flag with a value is not taken for a command. Colons break words
 * in bash: what stands before the last one is cut off where it is typed already.
 */
function bash(root: CompletedCommand): string {
  const commands = allCommands(root);
  const cases = commands.map(({ path, commands: below, flags, choices }) => {
    const names = flags.flatMap((flag) => flag.names);
    return `      ${quote(path)}) words=${quote([...below.map(nameOf), ...choices].join(' '))} flags=${quote(names.join(' '))} ;;`;
  });
  const paths = commands.filter(({ path }) => path !== '').map(({ path }) => quote(path));
  const valued = unique(
    commands.flatMap(({ flags }) => flags.filter((flag) => flag.takesValue).flatMap(({ names }) => names)),
  );
  const chosen = commands.flatMap(({ path, flags }) =>
    flags
      .filter(({ choices }) => choices.length > 0)
      .map(
        ({ names, choices }) =>
          `    ${names.map((name) => quote(`${path} ${name}`)).join('|')}) words=${quote(choices.join(' '))} ;;`,
      ),
  );
  return `# bash completion of pynq-llm: source <(pynq-llm completion bash)
_pynq_llm() {
  local current path='' word i words='' flags='' skip=''
  local line=()
  # Words as the shell runs them: readline breaks them at colons and equals signs.
  read -ra line <<< "\${COMP_LINE:0:COMP_POINT}"
  current=''
  [[ "\${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] || { current="\${line[-1]}"; unset 'line[-1]'; }
  for ((i = 1; i < \${#line[@]}; i++)); do
    word="\${line[i]}"
    if [[ -n "$skip" ]]; then skip=''; continue; fi
    case "$word" in
      ${valued.join('|')}) skip="$word" ;;
      -*) ;;
      *) case "\${path:+$path }$word" in ${paths.join('|')}) path="\${path:+$path }$word" ;; esac ;;
    esac
  done
  if [[ -n "$skip" ]]; then
    case "$path $skip" in
${chosen.join('\n')}
    esac
  else
    case "$path" in
${cases.join('\n')}
    esac
    [[ "$current" == -* ]] && words="$flags"
  fi
  COMPREPLY=()
  for word in $words; do
    [[ "$word" == "$current"* ]] && COMPREPLY+=("$word")
  done
  if [[ \${#COMPREPLY[@]} -eq 0 && "$current" != -* ]]; then
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$current"))
  fi
  # What ends with a colon or two slashes goes on.
  [[ "\${COMPREPLY[*]}" == *[:/] ]] && compopt -o nospace 2> /dev/null
  if [[ "$current" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
  fi
  return 0
}
complete -o filenames -o bashdefault -F _pynq_llm pynq-llm
`;
}

/** By words of the command line, as zsh's own functions describe them. */
function zsh(root: CompletedCommand): string {
  const cases = allCommands(root).map(({ path, commands, flags, choices: words }) => {
    const listed = commands.map((one) => quote(`${nameOf(one)}:${one.what.replaceAll(':', '\\:')}`));
    const specs = flags.flatMap(({ names, what, takesValue, choices }) => {
      const value = takesValue
        ? `:value:${choices.length > 0 ? `(${choices.join(' ').replaceAll(':', '\\:')})` : '_files'}`
        : '';
      return names.map((name) => quote(`${name}[${what.replaceAll(/[[\]\\]/g, '')}]${value}`));
    });
    const rest =
      commands.length > 0
        ? ''
        : ` ${quote(words.length > 0 ? `*:value:(${words.join(' ')})` : '*:file:_files')}`;
    return `    ${quote(path)})
      commands=(${listed.join(' ')})
      (( CURRENT == at && $#commands )) && _describe command commands
      _arguments -S ${specs.join(' ')}${rest} ;;`;
  });
  const paths = allCommands(root).map(({ path }) => quote(path));
  return `#compdef pynq-llm
# zsh completion of pynq-llm: pynq-llm completion zsh > a folder of $fpath, as _pynq-llm
_pynq_llm() {
  local -a commands paths
  local wanted='' i at=2
  paths=(${paths.filter((path) => path !== "''").join(' ')})
  for ((i = 2; i < CURRENT; i++)); do
    if (( $paths[(Ie)\${wanted:+$wanted }$words[i]] )); then wanted="\${wanted:+$wanted }$words[i]"; at=$((i + 1)); else break; fi
  done
  case "$wanted" in
${cases.join('\n')}
  esac
}
if [[ "$funcstack[1]" == _pynq-llm ]]; then _pynq_llm "$@"; else compdef _pynq_llm pynq-llm; fi
`;
}

function fish(root: CompletedCommand): string {
  const lines = allCommands(root).flatMap(({ path, commands, flags, choices: words }) => {
    const names = path === '' ? [] : path.split(' ');
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`);
    const siblings = commands.map(nameOf).join(' ');
    const here = [
      ...seen,
      ...(commands.length > 0 ? [`not __fish_seen_subcommand_from ${siblings}`] : []),
    ].join('; and ');
    const when = here === '' ? '' : ` -n ${quoteForFish(here)}`;
    return [
      ...commands.map(
        (one) => `complete -c pynq-llm${when} -f -a ${nameOf(one)} -d ${quoteForFish(one.what)}`,
      ),
      ...words.map((word) => `complete -c pynq-llm${when} -f -a ${word}`),
      ...flags.map(({ names: both, what, takesValue, choices }) => {
        const spelled = both.map((name) =>
          name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
        );
        const value = takesValue
          ? choices.length > 0
            ? ` -x -a ${quoteForFish(choices.join(' '))}`
            : ' -r'
          : '';
        return `complete -c pynq-llm${when} ${spelled.join(' ')}${value} -d ${quoteForFish(what)}`;
      }),
    ];
  });
  return `# fish completion of pynq-llm\n${lines.join('\n')}\n`;
}

function nameOf({ path }: CompletedCommand): string {
  return path.split(' ').at(-1) ?? '';
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** In fish a backslash is one within single quotes too. */
function quoteForFish(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
