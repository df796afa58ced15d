# bash completion for fifobus.
#   source <(fifobus completion bash)
# or install its output as /usr/share/bash-completion/completions/fifobus.

# Lists of words are split on purpose.
# shellcheck disable=SC2086,SC2206

# Adds those of standard input that begin with $current, quoted.
_fifobus_reply() {
  local word
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] || continue
    word=${word#"$before"}
    [[ -n $quote ]] || printf -v word %q "$word"
    COMPREPLY+=("$word")
  done
}

# Completes a value of the kind $1.
_fifobus_value() {
  case $1 in
    DIR) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames 2>/dev/null ;;
    FILE) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null ;;
    CMD | CLIENT) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    TOPIC | PATTERN) _fifobus_reply < <("$program" completion topics "${dir[@]}" 2>/dev/null) ;;
    =*) _fifobus_reply < <(printf '%s\n' ${1#=}) ;;
  esac
}

_fifobus() {
  local program=${COMP_WORDS[0]} command='' kind='' maybe='' word i operand=0
  local commands options operands
  local -a dir=()
  local -A value=()
  # bash has split the word at = and :, and replaces but its last part.
  local current=${COMP_LINE:0:COMP_POINT}
  current=${current##*[[:space:]]}
  local before='' quote=''
  case $current in --*=*) before=${current%%=*}=; current=${current#"$before"}; before= ;; esac
  case $current in [\'\"]*) quote=${current:0:1}; current=${current:1} ;; esac
  [[ -n $quote || $current != *[:=]* ]] || before=${current%"${current##*[:=]}"}
  COMPREPLY=()
  _fifobus_about "$command"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = || $word == : ]]; then
      kind=${kind:-$maybe}
      continue
    elif [[ -n $kind ]]; then
      [[ $kind != DIR ]] || dir=(--dir "$word")
      kind=
    elif [[ $word == -* ]]; then
      kind=${value[$word]} maybe=
      # A value that is there only behind a =.
      [[ $kind != '?'* ]] || maybe=${kind#'?'} kind=
      continue
    elif [[ " $commands " == *" $word "* ]]; then
      command+=${command:+ }$word
      _fifobus_about "$command"
    else
      ((operand++))
    fi
    maybe=
  done
  # The = may be the word at the cursor.
  [[ ${COMP_WORDS[COMP_CWORD]} != = ]] || kind=${kind:-$maybe}
  if [[ -n $kind ]]; then
    _fifobus_value "$kind"
  elif [[ $current == -* ]]; then
    _fifobus_reply < <(printf '%s\n' $options)
  elif [[ -n $commands ]]; then
    _fifobus_reply < <(printf '%s\n' $commands)
  else
    local -a kinds=($operands)
    word=${kinds[operand]}
    # The last one may be given again and again.
    [[ -n $word || $operands != *... ]] || word=${kinds[-1]}
    _fifobus_value "${word%...}"
  fi
}
